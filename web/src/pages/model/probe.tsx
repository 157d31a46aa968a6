// Trying a device or a point as it stands in the form, before it is saved.
import { useState } from "preact/hooks";
import { post } from "../../api/client";
import type { Kind, ModelObject, ProbeAnswer } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { CurlButton } from "../../ui/curl";
import { valueText } from "../../ui/format";
import { ProblemNotice } from "../../ui/loading";
import { QualityMark } from "../../ui/marks";
import { objectOf, type Draft } from "./draft";
import { labelOf } from "./labels";
import { refusalOf } from "./problem";
import type { FormField } from "./schema";
import { model } from "./store";
import { words } from "./words";

const t = translator(words);

interface ProbeProps {
  kind: Kind;
  fields: readonly FormField[];
  draft: Draft;
  protocol: string;
  change: (draft: Draft) => void;
}

/** What is sent: the form's device, or the form's point with its saved device. */
function bodyOf(kind: Kind, fields: readonly FormField[], draft: Draft): ModelObject {
  const { body } = objectOf(fields, draft);
  if (kind === "device") return { device: body };
  const device = model.value.terms.get(draft["term_id"] ?? "")?.["device_id"];
  return { device_id: device, point: body };
}

export function Probe({ kind, fields, draft, protocol, change }: ProbeProps) {
  const [answer, setAnswer] = useState<ProbeAnswer | null>(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  if ((kind !== "device" && kind !== "term_item") || !protocol || protocol === "formula") return null;
  const part = kind === "device" ? "device." : "point.";
  const request = () => ({ method: "POST", path: "/api/v2/devices/probe", body: bodyOf(kind, fields, draft) });
  const run = async (): Promise<void> => {
    // what is not filled in yet need not be known; what is wrong would be left out, and something else be tried
    const wrong = Object.entries(objectOf(fields, draft).faults).filter(([, { key }]) => key !== "required");
    if (wrong.length) {
      setAnswer(null);
      setProblem(wrong.map(([field, { key, limit }]) => `${labelOf(field)}: ${t(key, { limit })}`).join("; "));
      return;
    }
    setBusy(true);
    setProblem("");
    try {
      setAnswer(await post<ProbeAnswer>(request().path, request().body));
    } catch (error) {
      const { fields: wrong, text } = refusalOf(error, () => true, part);
      setProblem([text, ...Object.entries(wrong).map(([field, message]) => `${labelOf(field)}: ${message}`)].filter(Boolean).join("; "));
      setAnswer(null);
    } finally {
      setBusy(false);
    }
  };
  return (
    <fieldset class="model-group">
      <legend>{t("probe")}</legend>
      <div class="row">
        <button type="button" class="button" disabled={busy} onClick={() => void run()}>
          {busy ? t("checking") : t(kind === "device" ? "probeDevice" : "probePoint")}
        </button>
        <CurlButton request={request} />
      </div>
      <ProblemNotice problem={problem} />
      {answer && <Result answer={answer} use={kind === "term_item" ? (meaning) => change({ ...draft, ...chosen(fields, meaning) }) : null} />}
    </fieldset>
  );
}

type Meaning = ProbeAnswer["interpretations"][number];

/** The fields that a meaning sets, as far as the form has them. */
function chosen(fields: readonly FormField[], meaning: Meaning): Draft {
  const { code_type, byte_order, word_order } = meaning;
  return Object.fromEntries(
    Object.entries({ code_type, byte_order, word_order })
      .filter(([name, value]) => value !== null && fields.some((field) => field.name === name))
      .map(([name, value]) => [name, value ?? ""]),
  );
}

function Result({ answer, use }: { answer: ProbeAnswer; use: ((meaning: Meaning) => void) | null }) {
  return (
    <div class="stack" role="status">
      <p>
        <span aria-hidden="true">{answer.reachable ? "✓ " : "✕ "}</span>
        {answer.reachable ? t("reachable", { ms: (answer.seconds * 1000).toFixed(1) }) : t("unreachable")}
        {answer.error && <span class="error-text"> {answer.error}</span>}
      </p>
      {answer.sample && (
        <p>
          {t("reads")} <strong class="value">{valueText(answer.sample.value)}</strong>{" "}
          <QualityMark quality={answer.sample.quality} always />
          {answer.raw && <span class="muted"> · {t("rawBytes")} <span class="mono wrap-anywhere">{answer.raw}</span></span>}
        </p>
      )}
      {answer.interpretations.length > 0 && (
        <details>
          <summary>{t("meanings")}</summary>
          <div class="scroll-x" role="group" aria-label={t("meanings")} tabIndex={0}>
            <table>
              <thead>
                <tr><th>{t("codeType")}</th><th>{t("byteOrder")}</th><th>{t("wordOrder")}</th><th class="number">{t("value")}</th><th><span class="hidden-text">{t("action")}</span></th></tr>
              </thead>
              <tbody>
                {answer.interpretations.map((meaning) => (
                  <tr key={`${meaning.code_type}/${meaning.byte_order}/${meaning.word_order}`}>
                    <td class="mono">{meaning.code_type}</td>
                    <td>{meaning.byte_order ?? ""}</td>
                    <td>{meaning.word_order ?? ""}</td>
                    <td class="number">{valueText(meaning.value)}</td>
                    <td>
                      {meaning.configured ? <span class="muted">{t("inUse")}</span> : use && (
                        <button type="button" class="button small" onClick={() => use(meaning)}>{t("use")}</button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </div>
  );
}
