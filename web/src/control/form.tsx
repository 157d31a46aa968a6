// What is to be done: value, mode, reading back, reason.
import { useState } from "preact/hooks";
import type { Point } from "../api/types";
import { translator } from "../i18n/i18n";
import { latestOf } from "../live/values";
import { CurlButton } from "../ui/curl";
import { newKey, requestOf, type Command, type Mode } from "./command";
import { Entry } from "./entry";
import { check, type Range } from "./range";
import { isLasting, type Reason } from "./reasons";
import { selectRequest } from "./selection";
import { words } from "./words";

const t = translator(words);
const LONGEST = 600;

/** What the form holds; kept while one looks at the confirmation. */
export interface Draft {
  text: string;
  mode: Mode;
  verify: boolean;
  reason: string;
  expires: string;
}

interface FormProps {
  id: string;
  point: Point;
  range: Range;
  draft: Draft;
  reasons: readonly Reason[];
  /** What the server said of the value. */
  refusal: string;
  notice: string;
  /** Whether the device holds a selection until it is executed. */
  holds: boolean;
  onDraft: (draft: Draft) => void;
  onReady: (command: Command) => void;
}

export function Form({ id, point, range, draft, reasons, refusal, notice, holds, onDraft, onReady }: FormProps) {
  const [touched, setTouched] = useState(false);
  const { value, fault } = check(range, draft.text);
  const expires = Number(draft.expires);
  const expiresFits = draft.expires.trim() !== "" && expires > 0 && expires <= LONGEST;
  const blocked = reasons.length > 0;
  const set = (change: Partial<Draft>): void => onDraft({ ...draft, ...change });
  const command = (): Command => ({
    id, value, mode: draft.mode, verify: draft.verify, expiresIn: expires, reason: draft.reason.trim(), selectionId: "", key: newKey(),
  });
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        setTouched(true);
        if (!fault && expiresFits && !blocked) onReady(command());
      }}
    >
      {notice && <div class="notice" role="status">{notice}</div>}
      {blocked && (
        <div class="notice control-blocked" role="alert">
          <strong>⊘ {t("blocked")}</strong>
          <ul>{reasons.map((reason) => <li key={reason}>{t(`r:${reason}`)}</li>)}</ul>
        </div>
      )}
      {!isLasting(reasons) && (
        <fieldset class="control-fields" disabled={blocked}>
          <Entry
            range={range}
            unit={point.unit}
            text={draft.text}
            fault={fault}
            refusal={refusal || (touched && draft.text === "" && fault ? t(fault === "choose" ? "f:choose" : "f:empty") : "")}
            hint={hintOf(id, point, range, draft.text, fault === "" ? value : null)}
            onInput={(text) => set({ text })}
          />
          {range.selectable && draft.mode !== "" && (
            <fieldset class="control-mode">
              <legend>{t("mode")}</legend>
              {(["direct", "select"] as const).map((mode) => (
                <label key={mode} class="check"><input type="radio" name="mode" checked={draft.mode === mode} onChange={() => set({ mode })} />{t(mode)}</label>
              ))}
            </fieldset>
          )}
          <label class="field">
            <span class="label">{t("reason")}</span>
            <input type="text" maxLength={1024} value={draft.reason} onInput={(event) => set({ reason: event.currentTarget.value })} />
            <span class="help">{t("reasonHelp")}</span>
          </label>
          <div class="row control-more">
            <label class="check"><input type="checkbox" checked={draft.verify} onChange={(event) => set({ verify: event.currentTarget.checked })} />{t("verify")}</label>
            <label class="check" title={t("expiresHelp")}>
              {t("expires")}
              <input type="text" inputMode="decimal" size={4} value={draft.expires} aria-invalid={!expiresFits} onInput={(event) => set({ expires: event.currentTarget.value })} />
              {t("seconds")}
            </label>
          </div>
          <div class="dialog-foot">
            {!fault && <CurlButton request={() => (draft.mode === "select" && holds ? selectRequest(command()) : requestOf(command()))} />}
            <button type="submit" class="button primary" disabled={Boolean(draft.text && fault) || !expiresFits}>
              {t(draft.mode === "select" ? "doSelect" : "continue")}
            </button>
          </div>
        </fieldset>
      )}
    </form>
  );
}

function hintOf(id: string, point: Point, range: Range, text: string, value: Command["value"]): string {
  if (text === "" || value === null) return "";
  const present = latestOf(id).value;
  if (range.kind !== "step" && present && present.value === value) return t("same");
  if (typeof value !== "number" || range.kind === "step" || range.kind === "double") return "";
  const { down_limit: low, up_limit: high } = point;
  return (low !== null && value < low) || (high !== null && value > high) ? t("beyond") : "";
}
