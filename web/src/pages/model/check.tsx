// Checks of expressions while one types: OK, or the message with its place marked in the text.
import { useEffect, useState } from "preact/hooks";
import { call, Problem, send } from "../../api/client";
import type { ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { points } from "../../state/plant";
import { hasArchive } from "../../state/session";
import { CurlButton } from "../../ui/curl";
import { NoArchive } from "../../ui/no-archive";
import { isParam } from "./schema";
import type { Draft } from "./draft";
import { markOf } from "./place";
import { words } from "./words";

const t = translator(words);
/** Milliseconds without a key stroke before the server is asked. */
const PAUSE = 300;

/** What a text check says: "" while it is under way. */
function useCheck(key: string, ask: (signal: AbortSignal) => Promise<string>): string {
  const [said, setSaid] = useState({ key: "", text: "" });
  useEffect(() => {
    if (!key) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      ask(controller.signal).then(
        (text) => setSaid({ key, text }),
        (error: unknown) => {
          if (!controller.signal.aborted) setSaid({ key, text: error instanceof Problem ? error.message : String(error) });
        },
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key]);
  return said.key === key ? said.text : "";
}

function Said({ text, said, right }: { text: string; said: string; right: string }) {
  if (!said) return <p class="muted" role="status">{t("checking")}</p>;
  if (said === "OK") return <p class="model-right" role="status"><span aria-hidden="true">✓</span> {right}</p>;
  const mark = markOf(text, said);
  return (
    <div role="status" class="stack">
      <span class="error-text"><span aria-hidden="true">✕ </span>{said}</span>
      {mark && (
        <pre class="model-marked" aria-hidden="true">
          <span class="muted">{mark.line}: </span>{mark.before}<mark>{mark.at}</mark>{mark.after}
        </pre>
      )}
    </div>
  );
}

/** The text and the parameters of a formula. */
export function FormulaCheck({ draft }: { draft: Draft }) {
  const body: ModelObject = { formula: draft["formula"] ?? "" };
  for (const [name, text] of Object.entries(draft)) if (isParam(name) && text.trim()) body[name] = text.trim();
  const text = draft["formula"] ?? "";
  const request = { method: "POST", path: "/api/v1/formula_check", body };
  const said = useCheck(text.trim() ? JSON.stringify(body) : "", async (signal) =>
    (await send({ ...request, signal, headers: { Accept: "*/*" } })).text());
  if (!text.trim()) return null;
  return (
    <div class="model-check row spread">
      <Said text={text} said={said} right={t("checkOk")} />
      <CurlButton request={() => request} />
    </div>
  );
}

/** The rule of a point, tried as a batch that changes nothing; on the point itself or, when it is new, on any other. */
export function RuleCheck({ rule, termId, itemId }: { rule: string; termId: string; itemId: string }) {
  const own = [...points.value.values()].find((point) => point.term_id === termId && point.item_id === itemId);
  const point = own ?? points.value.values().next().value;
  const said = useCheck(rule.trim() && point ? `${rule}\n${point.term_id}:${point.item_id}` : "", async (signal) => {
    try {
      const body = { term_id: point?.term_id, item_id: point?.item_id, do_verify: rule };
      await call("POST", "/api/v2/term_items?dry_run=true", body, signal);
      return "OK";
    } catch (error) {
      if (error instanceof Problem && error.status === 422) {
        const own = error.errors.filter(({ field }) => field === "do_verify");
        return own.map(({ message }) => message).join("; ") || "OK";
      }
      throw error;
    }
  });
  return rule.trim() && point ? <div class="model-check"><Said text={rule} said={said} right={t("ruleOk")} /></div> : null;
}

/** The statements of a point, prepared by the archive when the button is pressed. */
export function SqlCheck({ body }: { body: () => ModelObject }) {
  const [said, setSaid] = useState("");
  const request = () => ({ method: "POST", path: "/api/v1/sql_check", body: body(), headers: { Accept: "*/*" } });
  const ask = async (): Promise<void> => {
    try {
      setSaid(await (await send(request())).text());
    } catch (error) {
      setSaid(error instanceof Problem ? error.message : String(error));
    }
  };
  if (!hasArchive.value) return <NoArchive />;
  return (
    <div class="model-check stack">
      <div class="row">
        <button type="button" class="button small" onClick={() => void ask()}>{t("sqlCheck")}</button>
        <CurlButton request={request} />
      </div>
      {said.split("\n").filter(Boolean).map((line) => <Said key={line} text="" said={line} right={t("sqlOk")} />)}
    </div>
  );
}
