// An object that exists: its form, saving what was changed, and what one can do with it.
import { useEffect, useState } from "preact/hooks";
import { call, get, Problem } from "../../api/client";
import type { Kind, ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { go, href } from "../../routes";
import { modelVersion } from "../../state/plant";
import { may } from "../../state/session";
import { CurlButton } from "../../ui/curl";
import { Loading, ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { Conflict } from "./conflict";
import { DeleteDialog } from "./delete";
import { differences, draftOf, extrasOf, patchOf, touched, type Draft, type Faults } from "./draft";
import { Facts } from "./facts";
import { useFirstWrong } from "./first_wrong";
import { Form } from "./form";
import { Heading } from "./heading";
import { labelOf } from "./labels";
import { Probe } from "./probe";
import { NOTHING, refusalOf } from "./problem";
import { fieldsOf, isParam } from "./schema";
import { edits, keyOf, keyText, pathOf, protocolOf, refresh, schemas, setEdit } from "./store";
import { rowId } from "./tree";
import { words } from "./words";

const t = translator(words);

interface EditorProps {
  kind: Kind;
  /** One part, or term and item of a term item. */
  objectKey: string[];
}

export function Editor({ kind, objectKey }: EditorProps) {
  const place = rowId(kind, objectKey);
  const path = pathOf(kind, objectKey);
  const [now, setNow] = useState<ModelObject | null>(null);
  const [problem, setProblem] = useState("");
  const version = modelVersion.value;
  useEffect(() => {
    const controller = new AbortController();
    get<ModelObject>(path, controller.signal).then(
      (object) => {
        setNow(object);
        setProblem("");
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        const missing = error instanceof Problem && error.status === 404;
        if (missing) setEdit(place, null); // there is nothing left that it could change
        setProblem(missing ? t("gone") : error instanceof Problem ? error.message : String(error));
      },
    );
    return () => controller.abort();
  }, [path, version]);
  if (problem) return <ProblemNotice problem={problem} />;
  const known = schemas.value;
  if (!now || !known) return <Loading />;
  const protocol = protocolOf(kind, edits.value.get(place)?.opened ?? now);
  const fields = fieldsOf(known, kind, protocol);
  if (!may("admin") || !fields.length)
    return (
      <div class="stack">
        <Heading kind={kind} objectKey={objectKey} object={now} />
        {may("admin") && <p class="notice">{t("unknownDriver", { protocol })}</p>}
        <Facts object={now} fields={fields} />
      </div>
    );
  return <Editing key={place} kind={kind} objectKey={objectKey} now={now} setNow={setNow} fields={fields} protocol={protocol} />;
}

interface EditingProps extends EditorProps {
  now: ModelObject;
  setNow: (object: ModelObject) => void;
  fields: ReturnType<typeof fieldsOf>;
  protocol: string;
}

function Editing({ kind, objectKey, now, setNow, fields, protocol }: EditingProps) {
  const place = rowId(kind, objectKey);
  const path = pathOf(kind, objectKey);
  const [refusal, setRefusal] = useState(NOTHING);
  const [faults, setFaults] = useState<Faults>({});
  const [dialog, setDialog] = useState<"" | "delete" | "conflict">("");
  const [busy, setBusy] = useState(false);
  const form = useFirstWrong(faults, refusal);
  const edit = edits.value.get(place);
  const opened = edit?.opened ?? now;
  const draft = edit?.draft ?? draftOf(fields, opened);
  const { body: patch } = patchOf(fields, opened, draft);
  const dirty = touched(fields, opened, draft).length > 0;
  const theirs = edit ? differences(opened, now) : [];
  const change = (next: Draft): void => {
    setRefusal(NOTHING);
    setFaults({});
    setEdit(place, touched(fields, opened, next).length ? { opened, draft: next } : null);
  };
  const discard = (): void => {
    setEdit(place, null);
    setRefusal(NOTHING);
    setFaults({});
    setDialog("");
  };
  const save = async (anyway: boolean): Promise<void> => {
    const { body, faults: wrong } = patchOf(fields, opened, draft);
    setFaults(wrong);
    if (Object.keys(wrong).length || !dirty) return;
    setBusy(true);
    try {
      const fresh = await get<ModelObject>(path);
      setNow(fresh);
      if (!anyway && differences(opened, fresh).length) {
        setDialog("conflict");
        return;
      }
      const saved = await call<ModelObject>("PATCH", path, body);
      discard();
      setNow(saved);
      toast(t("saved", { key: keyText(keyOf(kind, saved)) }));
      await refresh();
      const key = keyOf(kind, saved);
      if (keyText(key) !== keyText(objectKey)) go(href("model", [kind, ...key]));
    } catch (error) {
      setDialog("");
      setRefusal(refusalOf(error, (field) => field in draft || isParam(field)));
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
        void save(false);
      }}
    >
      <Heading kind={kind} objectKey={objectKey} object={now} onDelete={() => setDialog("delete")} />
      {theirs.length > 0 && (
        <div class="notice row spread" role="status">
          <span>{t("changedMeanwhile", { fields: theirs.map(({ field }) => labelOf(field)).join(", ") })}</span>
          <button type="button" class="button small" onClick={() => setDialog("conflict")}>{t("compare")}</button>
        </div>
      )}
      <Form kind={kind} fields={fields} draft={draft} change={change} faults={faults} errors={refusal.fields} extras={extrasOf(fields, now)} />
      {protocol !== "formula" && <Probe kind={kind} fields={fields} draft={draft} protocol={protocol} change={change} />}
      <ProblemNotice problem={refusal.text} />
      <div class="model-foot row">
        <button type="submit" class="button primary" disabled={!dirty || busy}>{t("save")}</button>
        <button type="button" class="button" disabled={!dirty} onClick={discard}>{t("discard")}</button>
        {dirty && <CurlButton request={() => ({ method: "PATCH", path, body: patch })} />}
        <span class="muted wrap-anywhere">
          {dirty ? t("willSend", { fields: touched(fields, opened, draft).map(labelOf).join(", ") }) : t("noChange")}
        </span>
      </div>
      {dialog === "delete" && <DeleteDialog kind={kind} objectKey={objectKey} onClose={() => setDialog("")} />}
      {dialog === "conflict" && (
        <Conflict
          differences={differences(opened, now)}
          mine={patch}
          onClose={() => setDialog("")}
          overwrite={() => void save(true)}
          takeTheirs={discard}
        />
      )}
    </form>
  );
}
