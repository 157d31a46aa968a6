// Makes a station send a group of its values now (IEC 60870-5-101, 7.2.6.22 and 7.2.6.23).
import { useState } from "preact/hooks";
import { call, Problem, type Request } from "../../api/client";
import type { Device, InterrogatedTerm } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { pointsByDevice } from "../../state/plant";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { ProblemNotice } from "../../ui/loading";
import { interrogatePath } from "./paths";
import { words } from "./words";

const t = translator(words);

const COUNTERS = 37; // and the groups after it
const GROUPS = Array.from({ length: 22 }, (_, index) => 20 + index);
const FREEZES = ["read", "freeze", "freeze_reset", "reset"] as const;

function groupText(group: number): string {
  if (group === 20) return t("general");
  if (group === COUNTERS) return t("counters");
  return group < COUNTERS ? t("generalGroup", { group, n: group - 20 }) : t("counterGroup", { group, n: group - COUNTERS });
}

const resultsOf = (body: unknown): InterrogatedTerm[] =>
  (body as { results?: InterrogatedTerm[] } | null)?.results ?? [];

export function InterrogateDialog({ device, onClose }: { device: Device; onClose: () => void }) {
  const [group, setGroup] = useState(20);
  const [term, setTerm] = useState("");
  const [freeze, setFreeze] = useState<string>("read");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const [results, setResults] = useState<InterrogatedTerm[]>([]);
  const terms = [...new Set((pointsByDevice.value.get(device.id) ?? []).map((point) => point.term_id))].sort();
  const request = (): Request => ({
    method: "POST",
    path: interrogatePath(device.id),
    body: { group, ...(term ? { term_id: term } : {}), ...(group >= COUNTERS ? { freeze } : {}) },
  });
  const ask = async (): Promise<void> => {
    const { method, path, body } = request();
    setBusy(true);
    setProblem("");
    setResults([]);
    try {
      setResults(resultsOf(await call(method, path, body)));
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
      if (error instanceof Problem) setResults(resultsOf(error.body));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("interrogateTitle", { name: device.name || device.id })} onClose={onClose}>
      <label class="field">
        <span class="label">{t("group")}</span>
        <select value={group} onChange={(event) => setGroup(Number(event.currentTarget.value))}>
          {GROUPS.map((number) => <option key={number} value={number}>{groupText(number)}</option>)}
        </select>
      </label>
      <label class="field">
        <span class="label">{t("ofTerm")}</span>
        <select value={term} onChange={(event) => setTerm(event.currentTarget.value)}>
          <option value="">{t("allTerms")}</option>
          {terms.map((id) => <option key={id} value={id}>{id}</option>)}
        </select>
      </label>
      {group >= COUNTERS && (
        <label class="field">
          <span class="label">{t("freeze")}</span>
          <select value={freeze} onChange={(event) => setFreeze(event.currentTarget.value)}>
            {FREEZES.map((name) => <option key={name} value={name}>{t(`freeze_${name}`)}</option>)}
          </select>
        </label>
      )}
      <ProblemNotice problem={problem} />
      <div role="status">{busy && t("asking")}{results.length > 0 && <Results results={results} />}</div>
      <div class="dialog-foot">
        <CurlButton request={request} />
        <button type="button" class="button primary" disabled={busy} onClick={() => void ask()}>{t("interrogate")}</button>
      </div>
    </Dialog>
  );
}

function Results({ results }: { results: readonly InterrogatedTerm[] }) {
  return (
    <div class="scroll-x" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th>{t("term")}</th><th class="number">{t("address")}</th><th>{t("outcome")}</th>
            <th class="number">{t("nPoints")}</th><th class="number">{t("seconds")}</th><th>{t("detail")}</th>
          </tr>
        </thead>
        <tbody>
          {results.map((row) => (
            <tr key={`${row.address}/${row.term_id}`}>
              <td>{row.term_id ?? t("allTerms")}</td><td class="number">{row.address}</td>
              <td>{row.outcome.replaceAll("_", " ")}</td><td class="number">{row.points}</td>
              <td class="number">{row.seconds}</td><td>{row.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
