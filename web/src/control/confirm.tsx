// The last look before it is sent: what, from which value to which. A selection is given up when nobody executes it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Point } from "../api/types";
import { translator } from "../i18n/i18n";
import { latestOf } from "../live/values";
import { CurlButton } from "../ui/curl";
import { requestOf, type Command } from "./command";
import type { Range } from "./range";
import type { Reason } from "./reasons";
import { countdown, type Held } from "./selection";
import { stateText } from "./shown";
import { words } from "./words";

const t = translator(words);
interface ConfirmProps {
  command: Command;
  point: Point;
  range: Range;
  deviceName: string;
  reasons: readonly Reason[];
  busy: boolean;
  /** What the device holds; null: nothing is selected, or not yet. */
  held: Held | null;
  /** Whether the device is to hold a selection. */
  holds: boolean;
  onExecute: () => void;
  onBack: () => void;
  onExpire: () => void;
}

export function Confirm({ command, point, range, deviceName, reasons, busy, held, holds, onExecute, onBack, onExpire }: ConfirmProps) {
  const selecting = holds && !held;
  const left = useCountdown(held && !busy ? held.until : 0, onExpire);
  const title = held && !busy ? t("selectedTitle", { seconds: left }) : t(selecting ? "selectingTitle" : "confirmTitle");
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []); // not the button: the key that came here must not execute
  const present = latestOf(command.id).value;
  return (
    <div class="stack control-confirm" ref={panel} tabIndex={-1} role="group" aria-label={t("confirmTitle")}>
      <h3>{title}</h3>
      {held && !busy && <progress max={held.seconds} value={left} aria-label={title} />}
      <div class="control-change">
        <div class="wrap-anywhere"><strong>{point.name || point.item_id}</strong> <span class="muted">{deviceName} · {command.id}</span></div>
        <div class="control-values">
          <span><span class="muted">{t("from")}</span> <span class="value">{present ? stateText(range.kind, present.value, point.unit) : "—"}</span></span>
          <span aria-hidden="true">→</span>
          <span><span class="muted">{t("to")}</span> <strong class="value">{stateText(range.kind, command.value, point.unit, true)}</strong></span>
        </div>
      </div>
      {held && !busy && <p class="muted">{t("heldHelp")}</p>}
      {!holds && command.mode === "select" && <p class="muted">{t("selectHelp")}</p>}
      {reasons.length > 0 && !busy && (
        <div class="notice problem" role="alert">{t("cannotNow")} {reasons.map((reason) => t(`r:${reason}`)).join(" ")}</div>
      )}
      <div class="dialog-foot">
        <CurlButton request={() => requestOf(command)} />
        <button type="button" class="button" disabled={busy} onClick={onBack}>{t(held ? "giveUp" : "back")}</button>
        <button type="button" class="button primary control-execute" disabled={busy || reasons.length > 0} onClick={onExecute}>
          {t(busy ? "sending" : "execute")}
        </button>
      </div>
    </div>
  );
}

/** Whole seconds that are left until a moment by `performance.now()`; `onEnd` when there are none. 0: no countdown. */
function useCountdown(until: number, onEnd: () => void): number {
  const [left, setLeft] = useState(() => countdown(until, performance.now()));
  const end = useRef(onEnd);
  end.current = onEnd;
  useEffect(() => {
    if (!until) return undefined;
    const show = (): void => {
      const rest = countdown(until, performance.now());
      setLeft(rest);
      if (rest <= 0) end.current();
    };
    show();
    const timer = setInterval(show, 200);
    return () => clearInterval(timer);
  }, [until]);
  return left;
}
