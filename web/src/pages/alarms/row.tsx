// One alarm. It renders anew when it changed, or was chosen; its value and age read their own signals.
import { useMemo } from "preact/hooks";
import type { Alarm } from "../../api/types";
import { language, translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { isShelved, isUnacknowledged } from "../../state/alarms";
import { may } from "../../state/session";
import { clockText, exactText, zone } from "../../state/time";
import { Priority } from "../../ui/marks";
import { LiveValue, PointLink, Since, StateMark, textOf } from "./cells";
import { words } from "./words";

const t = translator(words);

export interface RowProps {
  alarm: Alarm;
  chosen: boolean;
  onChoose: (alarm: Alarm, chosen: boolean) => void;
  onAck: (alarm: Alarm) => void;
  onShelve: (alarm: Alarm) => void;
  onUnshelve: (alarm: Alarm) => void;
}

export function AlarmRow({ alarm, chosen, onChoose, onAck, onShelve, onUnshelve }: RowProps) {
  const operate = may("operate");
  return useMemo(
    () => (
      <tr role="row" class={isUnacknowledged(alarm) ? "ringing" : ""}>
        {operate && (
          <td role="cell" class="alarms-choose">
            <label class="check">
              <input
                type="checkbox"
                checked={chosen}
                aria-label={t("choose", { id: alarm.id })}
                onChange={(event) => onChoose(alarm, event.currentTarget.checked)}
              />
            </label>
          </td>
        )}
        <td role="cell" class="alarms-priority"><Priority priority={alarm.priority} /></td>
        <td role="cell" class="alarms-is"><StateMark state={alarm.state} /></td>
        <td role="cell" class="alarms-raised"><Since time={alarm.raised} /></td>
        <td role="cell" class="alarms-point"><PointLink of={alarm} /></td>
        <td role="cell" class="alarms-value"><LiveValue alarm={alarm} /></td>
        <td role="cell" class="alarms-message wrap-anywhere">
          {alarm.warn_msg && <div>{alarm.warn_msg}</div>}
          <div class={alarm.warn_msg ? "muted alarms-where" : ""}>{textOf("k:", alarm.kind)}</div>
        </td>
        <td role="cell" class="alarms-who wrap-anywhere"><Handled alarm={alarm} /></td>
        <td role="cell" class="alarms-actions">
          <div class="row">
            {operate && isUnacknowledged(alarm) && (
              <button type="button" class="button small" onClick={() => onAck(alarm)}>{t("ack")}</button>
            )}
            {operate && !isShelved(alarm) && (
              <button type="button" class="button small quiet" onClick={() => onShelve(alarm)}>{t("shelve")}</button>
            )}
            {operate && isShelved(alarm) && (
              <button type="button" class="button small" onClick={() => onUnshelve(alarm)}>{t("unshelve")}</button>
            )}
            <a class="button small quiet" href={href("alarms", ["history"], { alarm: alarm.id })}>{t("history")}</a>
          </div>
        </td>
      </tr>
    ),
    [alarm, chosen, operate, language.value, zone.value],
  );
}

/** Who acknowledged or shelved it, when and why. */
function Handled({ alarm }: { alarm: Alarm }) {
  if (!alarm.noted && !alarm.note && !alarm.user && !alarm.until) return <span class="muted alarms-nobody">—</span>;
  return (
    <>
      <div>
        <span class="muted alarms-label">{t("who")} </span>
        {alarm.user} {alarm.noted && <time class="muted" dateTime={alarm.noted} title={exactText(alarm.noted)}>{clockText(alarm.noted)}</time>}
      </div>
      {alarm.note && <div>{alarm.note}</div>}
      {isShelved(alarm) && (
        <div class="muted">
          {alarm.until && t("untilTime", { time: exactText(alarm.until).replace(/\.\d+$/, "") })}
          {", "}
          {t(alarm.active ? "stillHolds" : "doesNotHold")}
        </div>
      )}
    </>
  );
}
