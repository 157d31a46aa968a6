// What a change of many objects does to each, and what the server says of it.
import { Problem } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { ProblemNotice } from "../../ui/loading";
import type { Planned } from "./bulk";
import { labelOf } from "./labels";
import { words } from "./words";

const t = translator(words);
const SHOWN = 200;

interface PreviewProps {
  plan: readonly Planned[];
  /** How many objects were chosen. */
  chosen: number;
  problem: Problem | string;
}

export function BulkPreview({ plan, chosen, problem }: PreviewProps) {
  const refused = new Map(
    typeof problem === "string" ? [] : problem.errors.map((one) => [one.index ?? -1, `${one.field}: ${one.message}`]),
  );
  // what is refused first, so that it is seen
  const order = plan.map((_, index) => index).sort((a, b) => Number(refused.has(b)) - Number(refused.has(a)));
  return (
    <div class="stack">
      {plan.length > 0 && (
        <div class="scroll-x" role="group" aria-label={t("preview")} tabIndex={0}>
          <table>
            <thead>
              <tr><th>{t("object")}</th><th>{t("field")}</th><th>{t("before")}</th><th>{t("after")}</th></tr>
            </thead>
            <tbody>
              {order.slice(0, SHOWN).map((index) => {
                const { key, changes } = plan[index] ?? { key: "", changes: [] };
                return changes.map(({ field, before, after }, place) => (
                  <tr key={`${key}/${field}`}>
                    {place === 0 && (
                      <th scope="row" rowSpan={changes.length} class="mono wrap-anywhere">
                        {key}
                        {refused.has(index) && <div class="error-text">✕ {refused.get(index)}</div>}
                      </th>
                    )}
                    <td>{labelOf(field)}</td>
                    <td class="muted wrap-anywhere">{before || "—"}</td>
                    <td class="wrap-anywhere">{after || "—"}</td>
                  </tr>
                ));
              })}
            </tbody>
          </table>
        </div>
      )}
      {plan.length > SHOWN && <p class="muted">{t("and", { count: plan.length - SHOWN })}</p>}
      {chosen > plan.length && <p class="muted">{t("unchangedRest", { count: chosen - plan.length })}</p>}
      {problem ? (
        <ProblemNotice problem={typeof problem === "string" ? problem : problem.message} />
      ) : (
        plan.length > 0 && <p class="model-right" role="status"><span aria-hidden="true">✓</span> {t("serverTakes")}</p>
      )}
    </div>
  );
}
