// Parts that both lists of the log have.
import type { ComponentChildren } from "preact";
import type { Request } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { CurlButton } from "../../ui/curl";
import { Loading, ProblemNotice } from "../../ui/loading";
import { words } from "./words";

const t = translator(words);

interface ToolsProps {
  busy: boolean;
  empty: boolean;
  onReload: () => void;
  onSave: () => void;
  request: () => Request;
  note?: string;
}

export function Tools({ busy, empty, onReload, onSave, request, note = "" }: ToolsProps) {
  return (
    <div class="row">
      <button type="button" class="button small" onClick={onReload} disabled={busy}>{t("reload")}</button>
      <button type="button" class="button small" onClick={onSave} disabled={empty}>{t("csv")}</button>
      <CurlButton request={request} />
      {note && <span class="muted">{note}</span>}
    </div>
  );
}

interface ListProps<T> {
  label: string;
  /** null: not read yet. */
  rows: readonly T[] | null;
  /** Those of `rows` that the filter for texts leaves. */
  shown: readonly T[];
  row: (row: T) => ComponentChildren;
  problem: string;
  reload: () => void;
  /** What is said when there is none at all. */
  none: string;
  filtered: boolean;
  /** A text is looked for, in what is loaded. */
  searched: boolean;
  /** Whether older ones can be asked for. */
  more: boolean;
  busy: boolean;
  older: () => void;
}

/** The entries, or why there are none, and the way to older ones. */
export function List<T>({ label, rows, shown, row, problem, reload, none, filtered, searched, more, busy, older }: ListProps<T>) {
  return (
    <>
      <ProblemNotice problem={problem} retry={reload} />
      {!rows && !problem && <Loading />}
      {rows && !shown.length && <Empty filtered={filtered} text={none} />}
      {shown.length > 0 && <ul class="log-list" aria-label={label}>{shown.map(row)}</ul>}
      {searched && rows && <p class="muted" role="status">{t("loadedOnly", { shown: shown.length, count: rows.length })}</p>}
      {more && <div><button type="button" class="button" disabled={busy} onClick={older}>{t("older")}</button></div>}
    </>
  );
}

function Empty({ filtered, text }: { filtered: boolean; text: string }) {
  return (
    <div class="log-empty muted" role="status">
      <p>{filtered ? t("noMatch") : text}</p>
      {filtered && <div><button type="button" class="button" onClick={() => setQuery({})}>{t("clear")}</button></div>}
    </div>
  );
}

/** Every word of the text occurs. */
export function hasWords(text: string, within: string): boolean {
  const where = within.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => where.includes(word));
}

/** Text of a word of the server that may be one of ours. */
export function textOf(prefix: string, word: string): string {
  const key = `${prefix}${word}`;
  return key in words.en ? t(key as keyof typeof words.en) : word;
}
