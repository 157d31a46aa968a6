// What an import does: counts by kind, then each object with its fields before and after.
import type { ImportAnswer, ImportChange } from "../../../api/types";
import { translator } from "../../../i18n/i18n";
import { textOf } from "../draft";
import { words } from "./words";

const t = translator(words);
const KINDS = ["devices", "terms", "items", "term_items", "formulas"] as const;
const COUNTS = ["add", "change", "delete", "unchanged"] as const;
const SHOWN = 300;
const SIGNS = { add: "+", change: "~", delete: "−" } as const;

export function Diff({ answer }: { answer: ImportAnswer }) {
  const none = answer.add + answer.change + answer.delete === 0;
  return (
    <section class="stack" aria-label={t("whatChanges")}>
      <h2>{t("whatChanges")}</h2>
      <div class="scroll-x" role="group" aria-label={t("total")} tabIndex={0}>
        <table class="import-counts">
          <thead>
            <tr><th>{t("kind")}</th>{COUNTS.map((name) => <th key={name} class="number">{name === "unchanged" ? t(name) : t(`a_${name}`)}</th>)}</tr>
          </thead>
          <tbody>
            {KINDS.map((kind) => {
              const counts = answer.counts[kind];
              if (!counts || !COUNTS.some((name) => counts[name])) return null;
              return (
                <tr key={kind}>
                  <th scope="row">{t(`k_${kind}`)}</th>
                  {COUNTS.map((name) => <td key={name} class="number">{counts[name]}</td>)}
                </tr>
              );
            })}
            <tr>
              <th scope="row">{t("total")}</th>
              {COUNTS.map((name) => <td key={name} class="number"><strong>{answer[name]}</strong></td>)}
            </tr>
          </tbody>
        </table>
      </div>
      {none && answer.error_count === 0 && <p class="muted">{t("noChange")}</p>}
      {!none && (
        <details open={answer.changes.length <= 50}>
          <summary>{t("changes")} ({answer.changes.length})</summary>
          <div class="import-changes scroll-x" role="group" aria-label={t("changes")} tabIndex={0}>
            <table>
              <thead>
                <tr><th>{t("action")}</th><th>{t("kind")}</th><th>{t("object")}</th><th>{t("changes")}</th></tr>
              </thead>
              <tbody>
                {answer.changes.slice(0, SHOWN).map((change) => <Change key={`${change.kind}/${change.key}`} change={change} />)}
              </tbody>
            </table>
          </div>
          {(answer.truncated || answer.changes.length > SHOWN) && (
            <p class="muted">{t("truncated", { count: Math.min(SHOWN, answer.changes.length) })}</p>
          )}
        </details>
      )}
    </section>
  );
}

function Change({ change: { action, kind, key, fields } }: { change: ImportChange }) {
  return (
    <tr>
      <td><span class="tag"><span aria-hidden="true">{SIGNS[action]}</span>{t(`a_${action}`)}</span></td>
      <td>{t(`k_${kind}`)}</td>
      <th scope="row" class="mono wrap-anywhere">{key}</th>
      <td class="import-fields">
        {Object.entries(fields).map(([field, [before, after]]) => (
          <span key={field} class="wrap-anywhere">
            <span class="muted">{field} </span>
            {action === "change" && <><del>{textOf(before) || t("notSet")}</del> → </>}
            {action === "delete" ? <del>{textOf(before)}</del> : <ins>{textOf(after) || t("notSet")}</ins>}
          </span>
        ))}
      </td>
    </tr>
  );
}
