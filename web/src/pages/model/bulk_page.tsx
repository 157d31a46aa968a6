// Many points or devices at once: choose them, choose the fields, look at what becomes of each, change all or none.
import { useMemo, useState } from "preact/hooks";
import { get, post, Problem, withQuery } from "../../api/client";
import type { ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { devices, pointId, points } from "../../state/plant";
import { CurlButton } from "../../ui/curl";
import { ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { commonFields, planned, type Planned } from "./bulk";
import { BulkPreview } from "./bulk_preview";
import { Choice, type Choosable } from "./choice";
import type { Draft } from "./draft";
import { Field } from "./field";
import { labelOf } from "./labels";
import { fieldsOf, type FormField } from "./schema";
import { refresh, schemas } from "./store";
import { words } from "./words";

const t = translator(words);

type BulkKind = "term_item" | "device";
/** Devices named in the address of one request; with more the whole model is asked for. */
const MOST_NAMED = 50;
const COLLECTION = { term_item: "term_items", device: "devices" } as const;

function choosable(kind: BulkKind): Choosable[] {
  if (kind === "device")
    return [...devices.value.values()].map(({ id, name, protocol }) => ({ key: id, title: name || id, detail: protocol, protocol, device: id }));
  return [...points.value.values()].map((point) => ({
    key: `${point.term_id}:${point.item_id}`,
    title: point.name || point.item_id,
    detail: [pointId(point), point.protocol_code ?? "", point.code_type ?? ""].filter(Boolean).join(" "),
    protocol: point.protocol,
    device: point.device_id,
  }));
}

/** The objects as an export has them: without what is the default, so that only the rest is sent back. */
async function readObjects(kind: BulkKind, chosen: readonly Choosable[]): Promise<Map<string, ModelObject>> {
  const named = [...new Set(chosen.map(({ device }) => device))];
  const query = named.length <= MOST_NAMED ? { device_id: named.join(",") } : {};
  const document = await get<Record<string, ModelObject[]>>(withQuery("/api/v2/export", { format: "json", ...query }));
  const wanted = new Set(chosen.map(({ key }) => key));
  const found = new Map<string, ModelObject>();
  for (const object of document[COLLECTION[kind]] ?? []) {
    const key = kind === "device" ? String(object["id"]) : `${String(object["term_id"])}:${String(object["item_id"])}`;
    if (wanted.has(key)) found.set(key, object);
  }
  return found;
}

export function Bulk({ kind, setKind }: { kind: BulkKind; setKind: (kind: BulkKind) => void }) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [set, setSet] = useState<Draft>({});
  const [plan, setPlan] = useState<Planned[] | null>(null);
  const [faults, setFaults] = useState<ReturnType<typeof planned>["faults"]>({});
  const [problem, setProblem] = useState<Problem | string>("");
  const [busy, setBusy] = useState(false);
  const all = useMemo(() => choosable(kind), [kind, devices.value, points.value]);
  const selected = all.filter(({ key }) => chosen.has(key));
  const known = schemas.value ?? {};
  const protocols = [...new Set(selected.map(({ protocol }) => protocol))].sort();
  const fields = useMemo(
    () => commonFields(protocols.map((protocol) => fieldsOf(known, kind, protocol))),
    [known, kind, protocols.join(" ")],
  );
  const path = `/api/v2/${COLLECTION[kind]}`;
  const change = (next: Draft): void => {
    setSet(next);
    setPlan(null);
    setProblem("");
    setFaults({});
  };
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      await work();
    } catch (error) {
      setProblem(error instanceof Problem ? error : String(error));
    } finally {
      setBusy(false);
    }
  };
  const preview = (): Promise<void> =>
    attempt(async () => {
      const made = planned(await readObjects(kind, selected), fields, set);
      setFaults(made.faults);
      if (Object.keys(made.faults).length) return;
      setPlan(made.plan);
      if (made.plan.length) await post(`${path}?dry_run=true`, made.plan.map(({ body }) => body));
    });
  const apply = (): Promise<void> =>
    attempt(async () => {
      if (!plan) return;
      // made anew, so that what others changed since the preview stays
      const fresh = planned(await readObjects(kind, selected), fields, set).plan;
      setPlan(fresh);
      const { updated } = await post<{ updated: number }>(path, fresh.map(({ body }) => body));
      toast(t("applied", { count: updated }));
      change({});
      await refresh();
    });
  return (
    <div class="card stack">
      <h1>{t("bulkTitle")}</h1>
      <p class="muted">{t("bulkText")}</p>
      <label class="field model-kind">
        <span class="label">{t("what")}</span>
        <select
          value={kind}
          onChange={(event) => {
            setKind(event.currentTarget.value as BulkKind);
            setChosen(new Set());
            change({});
          }}
        >
          <option value="term_item">{t("term_items")}</option>
          <option value="device">{t("devices")}</option>
        </select>
      </label>
      <Choice
        all={all}
        chosen={chosen}
        setChosen={(next) => {
          setChosen(next);
          setPlan(null);
          setProblem("");
        }}
      />
      <ToSet fields={fields} any={selected.length > 0} mixed={protocols.length > 1} set={set} change={change} faults={faults} />
      <div class="row">
        <button
          type="button"
          class="button"
          disabled={busy || !selected.length || !Object.keys(set).length}
          onClick={() => void preview()}
        >
          {t("preview")}
        </button>
        {(!selected.length || !Object.keys(set).length) && <span class="muted">{t("wantSelection")}</span>}
      </div>
      {plan && <BulkPreview plan={plan} chosen={selected.length} problem={problem} />}
      {!plan && <ProblemNotice problem={typeof problem === "string" ? problem : problem.message} />}
      {plan && plan.length > 0 && (
        <div class="row">
          <button type="button" class="button primary" disabled={busy || problem !== ""} onClick={() => void apply()}>
            {t("apply", { count: plan.length })}
          </button>
          <CurlButton request={() => ({ method: "POST", path, body: plan.map(({ body }) => body) })} />
        </div>
      )}
    </div>
  );
}

interface ToSetProps {
  fields: readonly FormField[];
  any: boolean;
  mixed: boolean;
  set: Draft;
  change: (set: Draft) => void;
  faults: ReturnType<typeof planned>["faults"];
}

/** The fields that are set, each with its input, and the list of those that could be. */
function ToSet({ fields, any, mixed, set, change, faults }: ToSetProps) {
  const free = fields.filter(({ name }) => !(name in set));
  return (
    <fieldset class="model-group">
      <legend>{t("toSet")}</legend>
      {!any && !Object.keys(set).length && <p class="muted">{t("noField")}</p>}
      {mixed && <p class="muted">{t(fields.length ? "differentForms" : "mixed")}</p>}
      <div class="model-fields">
        {fields.filter(({ name }) => name in set).map((field) => (
          <div key={field.name} class="model-set">
            <Field field={field} text={set[field.name] ?? ""} set={(text) => change({ ...set, [field.name]: text })} fault={faults[field.name]} />
            <button
              type="button"
              class="button quiet"
              aria-label={`${t("remove")}: ${labelOf(field.name)}`}
              onClick={() => change(Object.fromEntries(Object.entries(set).filter(([name]) => name !== field.name)))}
            >
              ✕
            </button>
          </div>
        ))}
      </div>
      {any && free.length > 0 && (
        <label class="field model-kind">
          <span class="label">{t("setField")}</span>
          <select value="" onChange={(event) => event.currentTarget.value && change({ ...set, [event.currentTarget.value]: "" })}>
            <option value="" />
            {free.map(({ name }) => <option key={name} value={name}>{labelOf(name)} ({name})</option>)}
          </select>
        </label>
      )}
    </fieldset>
  );
}
