// Parts that both lists of the log have.
import type { Request } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { CurlButton } from "../../ui/curl";
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

export function Empty({ filtered, text }: { filtered: boolean; text: string }) {
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
