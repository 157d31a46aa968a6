// What the server answered: status, time, headers and body.
import { translator } from "../../i18n/i18n";
import { pretty, type Answer } from "./exchange";
import { words } from "./words";

const t = translator(words);

export function AnswerView({ answer }: { answer: Answer }) {
  const good = answer.status < 400;
  const text = answer.open ? answer.text : pretty(answer.text, answer.type);
  return (
    <section class="api-answer" aria-label={t("answer")} aria-live="polite">
      <div class="row">
        <strong class={good ? "" : "tag bad"}>{good ? "✓" : "✕"} {answer.status} {answer.statusText}</strong>
        <span class="muted">{t("took", { time: answer.took })}</span>
      </div>
      <details>
        <summary>{t("headers")}</summary>
        <pre class="api-pre" tabIndex={0}>{answer.headers.map(([name, value]) => `${name}: ${value}`).join("\n")}</pre>
      </details>
      {text ? <pre class="api-pre" tabIndex={0}>{text}</pre> : !answer.open && <p class="muted">{t("emptyBody")}</p>}
      {answer.cut && <p class="muted">{t("cut")}</p>}
    </section>
  );
}
