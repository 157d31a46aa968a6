// Bringing in a file: choose it, map its columns, check and mend it, apply.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Problem, send } from "../../../api/client";
import type { ImportAnswer } from "../../../api/types";
import { language, translator } from "../../../i18n/i18n";
import { href } from "../../../routes";
import { refresh, schemas } from "../store";
import { CheckStep } from "./check_step";
import { columnsOf } from "./columns";
import { MalformedCsv, readCsv, type Table } from "./csv";
import { Diff } from "./diff";
import { FileStep, type Chosen } from "./file_step";
import { MapStep } from "./map_step";
import { applied, guessed, isKnown, type Constants, type Mapped, type Mapping } from "./mapping";
import { decoded, formatOf, type Format } from "./source";
import { words } from "./words";
import "./import.css";

const t = translator(words);

type Step = "stepFile" | "stepMap" | "stepCheck" | "stepDone";

interface Source extends Chosen {
  format: Format;
  text: string;
  encoding: string;
  table: Table | null;
}

/** `from`: a device whose addresses that send and are not configured are the table; "" for a file. */
export function ImportWizard({ from }: { from: string }) {
  const [step, setStep] = useState<Step>("stepFile");
  const [source, setSource] = useState<Source | null>(null);
  const [mapping, setMapping] = useState<Mapping>([]);
  const [constants, setConstants] = useState<Constants>({});
  const [mapped, setMapped] = useState<Mapped | null>(null);
  const [result, setResult] = useState<ImportAnswer | null>(null);
  const [problem, setProblem] = useState("");
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (step === "stepFile") return;
    scrollTo({ top: 0 }); // the button of the step before stood at the end of a long page
    heading.current?.focus({ preventScroll: true });
  }, [step]);
  const columns = useMemo(() => columnsOf(schemas.value ?? {}), [schemas.value]);

  const take = (chosen: Chosen, encoding?: string): void => {
    const read = encoding
      ? { text: new TextDecoder(encoding).decode(chosen.bytes), encoding }
      : decoded(chosen.bytes, language.value === "zh" ? "gb18030" : "windows-1252");
    const format = formatOf(chosen.name, read.text);
    setProblem("");
    try {
      if (!read.text.trim()) throw new MalformedCsv("empty");
      const table = format === "csv" ? readCsv(read.text, isKnown(columns)) : null;
      setSource({ ...chosen, ...read, format, table });
      if (table) setMapping(guessed(table.header, columns));
      setConstants({});
      setMapped(null);
      setStep(table ? "stepMap" : "stepCheck");
    } catch (error) {
      if (!(error instanceof MalformedCsv)) throw error;
      setProblem(t(error.message === "empty" ? "emptyFile" : "badQuotes"));
    }
  };
  useEffect(() => {
    if (!from) return undefined;
    const controller = new AbortController();
    const path = `/api/v2/devices/${encodeURIComponent(from)}/discovered`;
    send({ method: "GET", path, headers: { Accept: "text/csv" }, signal: controller.signal })
      .then((response) => response.arrayBuffer())
      .then(
        (bytes) => {
          const all = new Uint8Array(bytes);
          if (new TextDecoder().decode(all).trim().split("\n").length > 1) take({ name: `${from}.csv`, bytes: all });
          else setProblem(t("nothingSent", { id: from }));
        },
        (error: unknown) => {
          if (!controller.signal.aborted) setProblem(error instanceof Problem ? error.message : String(error));
        },
      );
    return () => controller.abort();
  }, [from]);
  const name = source?.name || `${t("pasted")}.${source?.format ?? "csv"}`;
  const setCell = (row: number, column: number, text: string): void => {
    if (!mapped) return;
    const rows = mapped.rows.map((cells, at) => (at === row ? cells.map((cell, place) => (place === column ? text : cell)) : cells));
    setMapped({ ...mapped, rows });
  };
  const shown = useMemo(
    () => (mapped && source?.table ? { ...mapped, numbers: source.table.numbers } : null),
    [mapped, source],
  );
  return (
    <div class="stack import">
      <a href={href("model")}>‹ {t("toModel")}</a>
      <div class="row spread">
        <h1 ref={heading} tabIndex={-1}>{t("title")}</h1>
        <Steps step={step} table={source ? source.table !== null : true} />
      </div>
      <div class="card stack">
        {step !== "stepFile" && <p class="muted wrap-anywhere">{name}</p>}
        {step === "stepFile" && <FileStep take={(chosen) => take(chosen)} problem={problem} />}
        {step === "stepMap" && source?.table && (
          <MapStep
            table={source.table}
            columns={columns}
            mapping={mapping}
            setMapping={setMapping}
            constants={constants}
            setConstants={setConstants}
            encoding={source.encoding}
            setEncoding={(encoding) => take(source, encoding)}
            back={() => setStep("stepFile")}
            next={() => {
              if (source.table) setMapped(applied(source.table.rows, mapping, constants));
              setStep("stepCheck");
            }}
          />
        )}
        {step === "stepCheck" && source && (
          <CheckStep
            name={name}
            format={source.format}
            text={source.text}
            setText={(text) => setSource({ ...source, text })}
            table={shown}
            setCell={setCell}
            back={() => setStep(source.table ? "stepMap" : "stepFile")}
            done={(answer) => {
              setResult(answer);
              setStep("stepDone");
              void refresh();
            }}
          />
        )}
        {step === "stepDone" && result && (
          <div class="stack" role="status">
            <h2><span aria-hidden="true">✓ </span>{t("done")}</h2>
            <p>{t("doneText", { add: result.add, change: result.change, delete: result.delete, unchanged: result.unchanged })}</p>
            <div class="row">
              <a class="button primary" href={href("model")}>{t("toModel")}</a>
              <button type="button" class="button" onClick={() => setStep("stepFile")}>{t("another")}</button>
            </div>
            <Diff answer={result} />
          </div>
        )}
      </div>
    </div>
  );
}

function Steps({ step, table }: { step: Step; table: boolean }) {
  const steps: Step[] = table ? ["stepFile", "stepMap", "stepCheck", "stepDone"] : ["stepFile", "stepCheck", "stepDone"];
  return (
    <ol class="import-steps" aria-label={t("steps")}>
      {steps.map((name) => <li key={name} aria-current={name === step ? "step" : undefined}>{t(name)}</li>)}
    </ol>
  );
}
