// The form of an operation, sending it, and what came back.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Request } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { AnswerView } from "./answer";
import { exchange, type Answer } from "./exchange";
import { Fields } from "./fields";
import { exampleOf, filled, isGrave, missing, type Document, type Filled, type Operation } from "./openapi";
import { words } from "./words";

const t = translator(words);

export function Try({ document, operation }: { document: Document; operation: Operation }) {
  const types = Object.keys(operation.bodies);
  const [values, setValues] = useState<Record<string, string>>({});
  const [type, setType] = useState(types[0] ?? "");
  const [text, setText] = useState(() => exampleText(document, operation, types[0] ?? ""));
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [failure, setFailure] = useState("");
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);
  const lacking = missing(operation, values);
  const broken = type.includes("json") ? jsonFault(text) : "";
  const request = filled(operation, values);
  const submit = async (): Promise<void> => {
    setAsking(false);
    const controller = new AbortController();
    running.current = controller;
    setBusy(true);
    setAnswer(null);
    setFailure("");
    try {
      await exchange(request, type ? { type, text } : null, controller.signal, setAnswer);
    } catch (error) {
      if (controller.signal.aborted) setFailure(t("stopped"));
      else setFailure(t("notReached", { reason: String(error) }));
    }
    setBusy(false);
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (lacking.length || broken || busy) return;
        if (isGrave(request)) setAsking(true);
        else void submit();
      }}
    >
      <Fields document={document} operation={operation} values={values} onChange={setValues} />
      {type && (
        <>
          {types.length > 1 && (
            <label class="field api-type">
              <span class="label">{t("bodyType")}</span>
              <select
                value={type}
                onChange={(event) => {
                  setType(event.currentTarget.value);
                  setText(exampleText(document, operation, event.currentTarget.value));
                }}
              >
                {types.map((each) => <option key={each} value={each}>{each}</option>)}
              </select>
            </label>
          )}
          <label class="field">
            <span class="label">{t("body")}</span>
            <textarea
              class="mono"
              spellcheck={false}
              rows={Math.min(16, Math.max(3, text.split("\n").length))}
              value={text}
              aria-invalid={broken !== ""}
              onInput={(event) => setText(event.currentTarget.value)}
            />
            {broken && <span class="error" role="alert">{t("badJson", { reason: broken })}</span>}
          </label>
        </>
      )}
      <div class="row">
        <button type="submit" class="button primary" disabled={lacking.length > 0 || broken !== "" || busy}>{t(busy ? "sending" : "send")}</button>
        {busy && <button type="button" class="button" onClick={() => running.current?.abort()}>{t("stop")}</button>}
        <CurlButton request={() => curlRequest(request, type, text)} />
        {lacking.length > 0 && <span class="muted">{t("missing", { names: lacking.join(", ") })}</span>}
      </div>
      {failure && <div class="notice" role="alert">{failure}</div>}
      {answer && <AnswerView answer={answer} />}
      {asking && (
        <Dialog title={t("graveTitle")} onClose={() => setAsking(false)}>
          <p>{t("graveText")}</p>
          <code class="wrap-anywhere">{request.method} {request.path}</code>
          {type && <pre class="api-pre" tabIndex={0}>{text.slice(0, 2000)}</pre>}
          <div class="dialog-foot">
            <button type="button" class="button" onClick={() => setAsking(false)}>{t("cancel")}</button>
            <button type="button" class="button danger" onClick={() => void submit()}>{t("send")}</button>
          </div>
        </Dialog>
      )}
    </form>
  );
}

function exampleText(document: Document, operation: Operation, type: string): string {
  if (!type.includes("json")) return "";
  return JSON.stringify(exampleOf(document, operation.bodies[type] ?? {}), null, 2);
}

function jsonFault(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The body as it was typed: numbers keep all their digits. */
function curlRequest(request: Filled, type: string, text: string): Request {
  return type ? { ...request, headers: { ...request.headers, "Content-Type": type }, raw: text } : request;
}
