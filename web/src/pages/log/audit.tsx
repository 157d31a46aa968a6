// Who changed or controlled what, newest first.
import { withQuery } from "../../api/client";
import type { AuditEntry } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { csvOf } from "../../ui/csv";
import { Choose, ChooseDevice, Filters, Moment, Write } from "../../ui/filters";
import { usePaged } from "../../ui/paged";
import { Entry } from "./entry";
import { hasWords, List, textOf, Tools } from "./parts";
import { EXPORTED, saveList } from "./save";
import { words } from "./words";

const t = translator(words);
const LIMIT = 50;
const ACTIONS = [
  "ctrl*", "alarm.*", "device.*", "term.*", "item.*", "term_item.*", "formula.*", "import", "interrogate", "request.refused",
] as const;
const NAMES = ["action", "user", "object", "device", "result", "since", "until", "text"] as const;
type Filter = Record<(typeof NAMES)[number], string>;

export function Audit({ query }: { query: URLSearchParams }) {
  const filter = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""])) as Filter;
  const set = (change: Partial<Filter>): void => setQuery({ ...filter, ...change });
  const pathOf = (limit: number): string => {
    const { device, text: _, ...asked } = filter;
    return withQuery("/api/v2/audit", { ...asked, device_id: device, limit });
  };
  const { rows, problem, more, busy, older, reload } = usePaged<AuditEntry>(pathOf(LIMIT));
  const fits = (entry: AuditEntry): boolean => hasWords(filter.text, JSON.stringify(entry));
  const shown = rows?.filter(fits);
  return (
    <>
      <Filters label={t("filters")} active={Object.values(filter).filter(Boolean).length}>
        <Choose label={t("action")} value={filter.action} onChange={(action) => set({ action })} options={[["", t("all")], ...ACTIONS.map((action) => [action, textOf("a:", action)] as const)]} />
        <ChooseDevice label={t("device")} value={filter.device} onChange={(device) => set({ device })} />
        <Write late label={t("user")} value={filter.user} onChange={(user) => set({ user })} />
        <Write late label={t("object")} value={filter.object} onChange={(object) => set({ object })} placeholder={t("objectHint")} />
        <Choose label={t("result")} value={filter.result} onChange={(result) => set({ result })} options={[["", t("all")], ["ok", t("ok")], ["failed", t("failed")]]} />
        <Moment label={t("since")} value={filter.since} onChange={(since) => set({ since })} />
        <Moment label={t("until")} value={filter.until} onChange={(until) => set({ until })} />
        <Write label={t("text")} value={filter.text} onChange={(text) => set({ text })} placeholder={t("textHint")} />
      </Filters>
      <Tools
        busy={busy}
        empty={!shown?.length}
        onReload={reload}
        onSave={() => void saveList<AuditEntry>("audit.csv", pathOf(EXPORTED), fits, csv)}
        request={() => ({ method: "GET", path: pathOf(LIMIT) })}
      />
      <List
        label={t("audit")}
        rows={rows}
        shown={shown ?? []}
        row={(entry) => <Entry key={entry.id} entry={entry} />}
        problem={problem}
        reload={reload}
        none={t("noAudit")}
        filtered={NAMES.some((name) => filter[name])}
        searched={Boolean(filter.text)}
        more={more}
        busy={busy}
        older={older}
      />
    </>
  );
}

function csv(rows: readonly AuditEntry[]): string {
  const plain = ["id", "time", "user", "source", "action", "object", "result", "reason", "command_id", "mode"] as const;
  const whole = ["before", "after", "changes"] as const;
  return csvOf(
    [...plain, ...whole],
    rows.map((row) => [
      ...plain.map((name) => row[name]),
      ...whole.map((name) => (row[name] === undefined || row[name] === null ? "" : JSON.stringify(row[name]))),
    ]),
  );
}
