// The permanent banner: how many alarms there are, and the worst of them.
import { translator } from "../i18n/i18n";
import { href } from "../routes";
import { byUrgency, isActive, isUnacknowledged } from "../state/alarms";
import { alarms } from "../state/plant";
import { clockText } from "../state/time";
import { Priority } from "../ui/marks";
import { words } from "./words";

const t = translator(words);

export function AlarmBanner() {
  const all = [...alarms.value.values()];
  const ringing = all.filter(isUnacknowledged).sort(byUrgency);
  const active = all.filter(isActive).length;
  const worst = ringing[0];
  return (
    <a class={`alarm-banner ${worst ? `ringing ${worst.priority}` : ""}`} href={href("alarms")} aria-live="polite">
      {!worst && !active && <span class="muted">{t("noAlarms")}</span>}
      {worst && (
        <>
          <Priority priority={worst.priority} />
          <strong>{t("unacknowledged", { count: ringing.length })}</strong>
        </>
      )}
      {active > 0 && <span>{t("active", { count: active })}</span>}
      {worst && (
        <span class="newest">
          {worst.raised && <time dateTime={worst.raised}>{clockText(worst.raised)} </time>}
          {worst.warn_msg || worst.kind} · {worst.device_id}:{worst.term_id}:{worst.item_id}
        </span>
      )}
    </a>
  );
}
