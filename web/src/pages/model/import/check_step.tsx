// Third step: what is wrong, what would change, and the import itself.
import { useMemo, useState } from "preact/hooks";
import { Problem } from "../../../api/client";
import type { ImportAnswer } from "../../../api/types";
import { translator } from "../../../i18n/i18n";
import { saveText } from "../../../ui/copy";
import { CurlButton } from "../../../ui/curl";
import { ProblemNotice } from "../../../ui/loading";
import { located } from "./check";
import { linesOf, writeCsv } from "./csv";
import { Diff } from "./diff";
import { importRequest, runImport, useDryRun, type Mode } from "./dry_run";
import type { Mapped } from "./mapping";
import { Rows } from "./rows";
import type { Format } from "./source";
import { words } from "./words";

const t = translator(words);
/** Characters of a document that can be edited here. */
const EDITABLE = 500_000;

interface CheckStepProps {
  name: string;
  format: Format;
  /** Of JSON and YAML. */
  text: string;
  setText: (text: string) => void;
  /** Of a table. */
  table: (Mapped & { numbers: readonly number[] }) | null;
  setCell: (row: number, column: number, text: string) => void;
  back: () => void;
  done: (answer: ImportAnswer) => void;
}

export function CheckStep({ name, format, text: given, setText, table, setCell, back, done }: CheckStepProps) {
  const [mode, setMode] = useState<Mode>("merge");
  const [understood, setUnderstood] = useState(false);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const write = (): string => (table ? writeCsv(table.header, table.rows) : given);
  const { answer, problem: refused, fresh, again, source } = useDryRun(format, table ?? given, write, mode, name);
  const found = useMemo(() => {
    const of = source !== null && typeof source === "object" ? (source as Mapped) : null; // the table that was checked
    return located(answer?.errors ?? [], of ? linesOf(of.header, of.rows) : [], of?.header ?? []);
  }, [answer, source]);
  const apply = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      done(await runImport(importRequest(format, write(), mode, false, name)));
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
      again();
    } finally {
      setBusy(false);
    }
  };
  const count = answer?.error_count ?? 0;
  const ready = fresh && answer !== null && count === 0 && (answer.delete === 0 || understood);
  return (
    <div class="stack">
      <label class="field model-kind">
        <span class="label">{t("mode")}</span>
        <select
          value={mode}
          onChange={(event) => {
            setMode(event.currentTarget.value as Mode);
            setUnderstood(false);
          }}
        >
          <option value="merge">{t("merge")}</option>
          <option value="replace">{t("replace")}</option>
        </select>
      </label>
      <p role="status">
        {!fresh ? <span class="muted">{t("checking")}</span> : !answer ? "" : count ? (
          <><strong class="error-text"><span aria-hidden="true">✕ </span>{count === 1 ? t("oneError") : t("errors", { count })}</strong> <span class="muted">{t("someErrors")}</span></>
        ) : (
          <span><span aria-hidden="true">✓ </span>{t("noErrors")}</span>
        )}
      </p>
      {fresh && <ProblemNotice problem={refused} retry={again} />}
      {found.others.length > 0 && (
        <ul class="import-errors">
          {found.others.slice(0, 100).map((one, place) => (
            <li key={place} class="wrap-anywhere">
              <span class="mono">{[one.kind === "table" ? t("document") : one.kind, one.key, one.column ?? one.field].filter(Boolean).join(" ")}</span>
              <span class="error-text"> ✕ {one.message}</span>
            </li>
          ))}
        </ul>
      )}
      {table && <Rows header={table.header} rows={table.rows} numbers={table.numbers} located={found} set={setCell} />}
      {!table && (count > 0 || (fresh && refused !== "")) && (
        given.length <= EDITABLE ? (
          <label class="field">
            <span class="label">{t("text")}</span>
            <textarea class="mono" rows={16} spellcheck={false} value={given} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        ) : <p class="muted">{t("tooLong")}</p>
      )}
      {answer && <Diff answer={answer} />}
      {answer && answer.delete > 0 && count === 0 && (
        <label class="check notice">
          <input type="checkbox" checked={understood} onChange={(event) => setUnderstood(event.currentTarget.checked)} />
          {t("understood", { count: answer.delete })}
        </label>
      )}
      <ProblemNotice problem={problem} />
      <div class="model-foot row">
        <button type="button" class="button" onClick={back}>{t("back")}</button>
        <button type="button" class="button primary" disabled={!ready || busy} onClick={() => void apply()}>
          {busy ? t("applying") : t("apply")}
        </button>
        <CurlButton request={() => importRequest(format, "", mode, false, name)} />
        {table && <button type="button" class="button quiet small" onClick={() => saveText(name.replace(/\.\w+$/, "") + ".csv", write(), "text/csv")}>{t("saveTable")}</button>}
      </div>
    </div>
  );
}
