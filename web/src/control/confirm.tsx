// The last look before it is sent: what, from which value to which. A selection is given up when nobody executes it.
import { useEffect, useRef, useState } from "preact/hooks";
import type { Point } from "../api/types";
import { translator } from "../i18n/i18n";
import { latestOf } from "../live/values";
import { CurlButton } from "../ui/curl";
import { requestOf, type Command } from "./command";
import type { Range } from "./range";
import type { Reason } from "./reasons";
import { stateText } from "./shown";
import { words } from "./words";

const t = translator(words);
/** Seconds in which a selection is to be executed. */
const SELECTED = 30;

interface ConfirmProps {
  command: Command;
  point: Point;
  range: Range;
  deviceName: string;
  reasons: readonly Reason[];
  busy: boolean;
  onExecute: () => void;
  onBack: () => void;
  onExpire: () => void;
}

export function Confirm({ command, point, range, deviceName, reasons, busy, onExecute, onBack, onExpire }: ConfirmProps) {
  const selecting = command.mode === "select";
  const left = useCountdown(selecting && !busy ? SELECTED : 0, onExpire);
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => panel.current?.focus(), []); // not the button: the key that came here must not execute
  const present = latestOf(command.id).value;
  return (
    <div class="stack control-confirm" ref={panel} tabIndex={-1} role="group" aria-label={t("confirmTitle")}>
      <h3>{selecting && !busy ? t("selectedTitle", { seconds: left }) : t("confirmTitle")}</h3>
      {selecting && !busy && <progress max={SELECTED} value={left} aria-label={t("selectedTitle", { seconds: left })} />}
      <div class="control-change">
        <div class="wrap-anywhere"><strong>{point.name || point.item_id}</strong> <span class="muted">{deviceName} · {command.id}</span></div>
        <div class="control-values">
          <span><span class="muted">{t("from")}</span> <span class="value">{present ? stateText(range.kind, present.value, point.unit) : "—"}</span></span>
          <span aria-hidden="true">→</span>
          <span><span class="muted">{t("to")}</span> <strong class="value">{stateText(range.kind, command.value, point.unit, true)}</strong></span>
        </div>
      </div>
      {selecting && <p class="muted">{t("selectHelp")}</p>}
      {reasons.length > 0 && !busy && (
        <div class="notice problem" role="alert">{t("cannotNow")} {reasons.map((reason) => t(`r:${reason}`)).join(" ")}</div>
      )}
      <div class="dialog-foot">
        <CurlButton request={() => requestOf(command)} />
        <button type="button" class="button" disabled={busy} onClick={onBack}>{t("back")}</button>
        <button type="button" class="button primary control-execute" disabled={busy || reasons.length > 0} onClick={onExecute}>
          {t(busy ? "sending" : "execute")}
        </button>
      </div>
    </div>
  );
}

/** Whole seconds that are left; `onEnd` when there are none. 0 seconds: no countdown. */
function useCountdown(seconds: number, onEnd: () => void): number {
  const [left, setLeft] = useState(seconds);
  const end = useRef(onEnd);
  end.current = onEnd;
  useEffect(() => {
    if (!seconds) return undefined;
    const over = performance.now() + seconds * 1000;
    setLeft(seconds);
    const timer = setInterval(() => {
      const rest = Math.ceil((over - performance.now()) / 1000);
      setLeft(Math.max(0, rest));
      if (rest <= 0) end.current();
    }, 200);
    return () => clearInterval(timer);
  }, [seconds]);
  return left;
}
