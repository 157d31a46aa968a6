// One entry of the audit trail; opened, it shows what differs.
import { useState } from "preact/hooks";
import type { AuditEntry } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { exactText } from "../../state/time";
import { differencesOf, plainText, type Difference } from "./diff";
import { words } from "./words";

const t = translator(words);
/** Changes of a batch that are shown at once. */
const SHOWN = 50;

const isBare = (value: unknown): boolean => typeof value !== "object" || value === null;

export function Entry({ entry }: { entry: AuditEntry }) {
  const [open, setOpen] = useState(false);
  const failed = entry.result !== null && !entry.result.startsWith("ok");
  const bare = isBare(entry.before) && isBare(entry.after) && (entry.before !== null || entry.after !== null);
  return (
    <li>
      <details class="log-entry" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <time dateTime={entry.time}>{exactText(entry.time)}</time>
          <span class="log-user wrap-anywhere">{entry.user || <span class="muted">{t("somebody")}</span>}</span>
          <span class="log-action wrap-anywhere"><strong>{entry.action}</strong> <span class="mono">{entry.object}</span></span>
          <span class="log-change wrap-anywhere">{bare && `${plainText(entry.before)} → ${plainText(entry.after)}`}</span>
          <span class="log-result wrap-anywhere">
            {failed ? <span class="tag bad">✕ {entry.result}</span> : <span class="muted">{entry.result ?? t("intended")}</span>}
          </span>
        </summary>
        {open && <Opened entry={entry} bare={bare} />}
      </details>
    </li>
  );
}

function Opened({ entry, bare }: { entry: AuditEntry; bare: boolean }) {
  const [most, setMost] = useState(SHOWN);
  const changes = entry.changes ?? [];
  return (
    <div class="log-opened">
      <dl class="log-facts">
        {entry.source && <><dt>{t("address")}</dt><dd>{entry.source}</dd></>}
        {entry.reason && <><dt>{t("reason")}</dt><dd class="wrap-anywhere">{entry.reason}</dd></>}
        {entry.result && <><dt>{t("result")}</dt><dd class="wrap-anywhere">{entry.result}</dd></>}
        {entry.mode && <><dt>{t("mode")}</dt><dd>{entry.mode}</dd></>}
        {entry.verify && <><dt>{t("verified")}</dt><dd>✓</dd></>}
        {entry.command_id && <><dt>{t("command")}</dt><dd class="mono wrap-anywhere">{entry.command_id}</dd></>}
        {entry.counts && <><dt>{t("counts")}</dt><dd>{countsText(entry.counts)}</dd></>}
        {entry.parts && entry.parts > 1 && <><dt>{t("partName")}</dt><dd>{t("part", { part: entry.part ?? 1, parts: entry.parts })}</dd></>}
      </dl>
      {(bare || !changes.length) && <Differences title="" list={differencesOf(entry.before, entry.after)} />}
      {changes.slice(0, most).map((change) => (
        <Differences key={`${change.kind} ${change.key}`} title={`${change.kind} ${change.key}`} list={differencesOf(change.before, change.after)} />
      ))}
      {changes.length > most && (
        <div><button type="button" class="button small" onClick={() => setMost(most + 4 * SHOWN)}>{t("more", { count: changes.length - most })}</button></div>
      )}
    </div>
  );
}

const countsText = (counts: NonNullable<AuditEntry["counts"]>): string =>
  Object.entries(counts)
    .map(([kind, of]) => `${kind}: ${Object.entries(of).map(([what, count]) => `${count} ${what}`).join(", ")}`)
    .join("; ");

const SIGNS = { added: "+", removed: "−", changed: "≠" } as const;

function Differences({ title, list }: { title: string; list: readonly Difference[] }) {
  return (
    <div class="scroll-x" tabIndex={0} role="group" aria-label={title || t("details")}>
      <table class="log-diff">
        {title && <caption class="mono">{title}</caption>}
        <thead><tr><th>{t("field")}</th><th>{t("before")}</th><th>{t("after")}</th></tr></thead>
        <tbody>
          {list.map(({ field, kind, before, after }) => (
            <tr key={field} class={kind}>
              <td class="mono"><span title={t(kind)}>{SIGNS[kind]}</span> {field || t("value")}</td>
              <td class="log-old wrap-anywhere">{plainText(before)}</td>
              <td class="log-new wrap-anywhere">{plainText(after)}</td>
            </tr>
          ))}
          {!list.length && <tr><td colSpan={3} class="muted">{t("noDifference")}</td></tr>}
        </tbody>
      </table>
    </div>
  );
}
