// Cells that the list of alarms and their history share.
import type { Alarm, AlarmStep, AlarmState } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { latestOf } from "../../live/values";
import { href } from "../../routes";
import { devices, pointId, points } from "../../state/plant";
import { ageText, clockText, exactText, now, timeText } from "../../state/time";
import { valueText } from "../../ui/format";
import { Value } from "../../ui/value";
import { words } from "./words";

const t = translator(words);
const DAY = 86_400_000;

/** Text of a word of the server that may be one of ours. */
export function textOf(prefix: string, word: string): string {
  const key = `${prefix}${word}`;
  return key in words.en ? t(key as keyof typeof words.en) : word;
}

/** Full, ring, half and bars: drawn, because fonts lack such signs. */
const SHAPES: Record<string, string> = {
  active_unacknowledged: "M6 1a5 5 0 110 10A5 5 0 016 1z",
  active_acknowledged: "M6 1a5 5 0 110 10A5 5 0 016 1zm0 2a3 3 0 100 6 3 3 0 000-6z",
  returned_unacknowledged: "M6 1a5 5 0 110 10A5 5 0 016 1zm0 1.5v7a3.500 3.500 0 000-7z",
  shelved: "M2 1h3v10H2zM7 1h3v10H7z",
  normal: "M1 5h10v2H1z",
};

export function StateMark({ state }: { state: AlarmState }) {
  return (
    <span class={`mark alarms-state ${state.endsWith("_unacknowledged") ? "ringing" : ""}`}>
      <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
        <path d={SHAPES[state] ?? SHAPES["active_unacknowledged"]} fill="currentColor" fill-rule="evenodd" />
      </svg>
      {textOf("", state)}
    </span>
  );
}

/** A moment, short when it is of today, and how long ago. */
export function Since({ time }: { time: string | null }) {
  if (!time) return <span class="muted">—</span>;
  const age = now.value - Date.parse(time);
  return (
    <time dateTime={time} title={exactText(time)}>
      {age < DAY ? clockText(time) : timeText(time)} <span class="muted">{t("ago", { age: ageText(age) })}</span>
    </time>
  );
}

export function PointLink({ of }: { of: Alarm | AlarmStep }) {
  const id = pointId(of);
  const device = devices.value.get(of.device_id);
  return (
    <>
      <a href={href("device", [of.device_id], { find: id })}>{points.value.get(id)?.name || of.item_id}</a>
      <div class="muted alarms-where">{device?.name || of.device_id} · {of.term_id}</div>
    </>
  );
}

const SIGNS: Record<string, string> = { high_high: ">", high: ">", low: "<", low_low: "<" };

/** `limit > 253 V`; "" for a kind without one. */
export function limitText(kind: string, limit: number | null, unit: string): string {
  return limit === null ? "" : `${SIGNS[kind] ?? ""} ${valueText(limit)} ${unit}`.trim();
}

/** The value now, as long as one is known, and the limit. */
export function LiveValue({ alarm }: { alarm: Alarm }) {
  const id = pointId(alarm);
  const unit = points.value.get(id)?.unit ?? "";
  const sample = latestOf(id);
  const limit = limitText(alarm.kind, alarm.limit, unit);
  return (
    <>
      <div title={t("valueThen", { value: `${valueText(alarm.value)} ${unit}` })}>
        {sample.value ? <Value sample={sample} unit={unit} /> : <span class="value">{valueText(alarm.value)} <span class="unit">{unit}</span></span>}
      </div>
      {limit && <div class="muted alarms-where">{t("limit")} {limit}</div>}
    </>
  );
}
