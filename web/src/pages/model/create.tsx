// A new object: device (of a protocol), term, point, item or formula.
import { useState } from "preact/hooks";
import { post } from "../../api/client";
import type { Kind, ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { go, href } from "../../routes";
import { CurlButton } from "../../ui/curl";
import { ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { objectOf, type Draft, type Faults } from "./draft";
import { useFirstWrong } from "./first_wrong";
import { Form } from "./form";
import { Probe } from "./probe";
import { NOTHING, refusalOf } from "./problem";
import { fieldsOf, isParam, protocolsOf } from "./schema";
import { collectionOf, edits, keyOf, keyText, protocolOf, refresh, schemas, setEdit } from "./store";
import { words } from "./words";

const t = translator(words);

const TITLES = { device: "newDevice", term: "newTerm", term_item: "newPoint", item: "newItem", formula: "newFormula" } as const;

/** `preset`: fields that the address gives, as the device of a new term. */
export function Create({ kind, preset }: { kind: Kind; preset: Draft }) {
  const place = `new/${kind}`;
  const known = schemas.value ?? {};
  const [refusal, setRefusal] = useState(NOTHING);
  const [faults, setFaults] = useState<Faults>({});
  const [busy, setBusy] = useState(false);
  const form = useFirstWrong(faults, refusal);
  const protocols = protocolsOf(known);
  const start: Draft = kind === "device" ? { protocol: protocols.find((name) => name !== "formula") ?? "", ...preset } : preset;
  const draft = { ...start, ...edits.value.get(place)?.draft, ...preset };
  const protocol = protocolOf(kind, draft);
  const fields = fieldsOf(known, kind, protocol);
  const result = objectOf(fields, draft);
  const path = collectionOf(kind, draft["term_id"]);
  const request = () => ({ method: "POST", path, body: result.body });
  const change = (next: Draft): void => {
    setRefusal(NOTHING);
    setFaults({});
    setEdit(place, { opened: null, draft: next });
    if (Object.entries(preset).some(([name, text]) => next[name] !== text)) go(href("model", ["new", kind])); // the person's choice goes first
  };
  const create = async (): Promise<void> => {
    setFaults(result.faults);
    if (Object.keys(result.faults).length) return;
    setBusy(true);
    try {
      const made = await post<ModelObject>(path, result.body);
      setEdit(place, null);
      toast(t("created", { key: keyText(keyOf(kind, made)) }));
      await refresh();
      go(isAwaited(kind, made) ? href("model", ["new", "term_item"]) : href("model", [kind, ...keyOf(kind, made)]));
    } catch (error) {
      setRefusal(refusalOf(error, (field) => fields.some(({ name }) => name === field) || isParam(field)));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      ref={form}
      class="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void create();
      }}
    >
      <h2>{t(TITLES[kind])}</h2>
      {kind === "device" && (
        <label class="field">
          <span class="label">{t("protocol")}</span>
          <select value={protocol} onChange={(event) => change({ ...draft, protocol: event.currentTarget.value })}>
            {protocols.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
      )}
      <Form
        kind={kind}
        fields={fields}
        draft={draft}
        change={change}
        faults={faults}
        errors={refusal.fields}
        {...(kind === "device" ? { hidden: PROTOCOL } : {})}
      />
      <Probe kind={kind} fields={fields} draft={draft} protocol={protocol} change={change} />
      <ProblemNotice problem={refusal.text} />
      <div class="model-foot row">
        <button type="submit" class="button primary" disabled={busy}>{t("create")}</button>
        <button
          type="button"
          class="button"
          onClick={() => {
            setEdit(place, null);
            history.back();
          }}
        >
          {t("discard")}
        </button>
        <CurlButton request={request} />
      </div>
    </form>
  );
}

/** An item that a new point, entered and not created yet, is waiting for. */
function isAwaited(kind: Kind, made: ModelObject): boolean {
  return kind === "item" && edits.peek().get("new/term_item")?.draft["item_id"] === made["id"];
}

const PROTOCOL = new Set(["protocol"]);
