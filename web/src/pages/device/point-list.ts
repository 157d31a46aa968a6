// Which points of a device are shown, and in which order. Pure.
import type { Alarm, Json, Point } from "../../api/types";
import type { Sample } from "../../live/values";
import { isActive, isUnacknowledged } from "../../state/alarms";
import { soundness } from "../../ui/format";

export type Column = "name" | "value" | "state" | "age";
export interface Order {
  column: Column;
  descending: boolean;
}
export const BY_NAME: Order = { column: "name", descending: false };

/** A point with what is known of it at this moment. */
export interface Seen {
  point: Point;
  id: string;
  sample: Sample | null;
  alarm: Alarm | undefined;
}

/** The limit that a value is beyond. */
export interface Beyond {
  side: "above" | "below";
  limit: number;
}

/** The outermost limit that the value is beyond; at the limit it is within. */
export function beyond(point: Point, value: Json): Beyond | null {
  const number = typeof value === "boolean" ? Number(value) : value;
  if (typeof number !== "number") return null;
  for (const limit of [point.high_high, point.up_limit])
    if (limit !== null && number > limit) return { side: "above", limit };
  for (const limit of [point.low_low, point.down_limit])
    if (limit !== null && number < limit) return { side: "below", limit };
  return null;
}

export const deservesAttention = (alarm: Alarm): boolean => isActive(alarm) || isUnacknowledged(alarm);

export function isAbnormal({ point, sample, alarm }: Seen): boolean {
  if (!sample || alarm) return true;
  const kind = soundness(sample.quality);
  return kind !== "good" || beyond(point, sample.value) !== null;
}

const names = new Intl.Collator("en", { numeric: true });
const SOUND = { good: 0, stale: 1, bad: 2 };

/** How bad the state of a point is, for sorting. */
function severity(seen: Seen): number {
  if (!seen.sample) return 2 * SOUND.bad + 2;
  return 2 * SOUND[soundness(seen.sample.quality)] + (seen.alarm ? 1 : 0);
}

function compareValues(a: Json, b: Json): number {
  const texts = typeof a === "string" && typeof b === "string";
  if (texts) return names.compare(a, b);
  if (typeof a === "string" || typeof b === "string") return typeof a === "string" ? 1 : -1;
  return Number(a) - Number(b);
}

const byName = (a: Seen, b: Seen): number =>
  names.compare(a.point.name || a.point.item_id, b.point.name || b.point.item_id) || names.compare(a.id, b.id);

/** What a column sorts by; null stands last, whichever the direction. */
function keyOf({ sample }: Seen, column: "value" | "age"): Json {
  if (!sample) return null;
  return column === "value" ? sample.value : -Date.parse(sample.time);
}

export function sorted(all: readonly Seen[], { column, descending }: Order): Seen[] {
  const sign = descending ? -1 : 1;
  return [...all].sort((a, b) => {
    if (column === "name") return sign * byName(a, b);
    if (column === "state") return sign * (severity(a) - severity(b)) || byName(a, b);
    const [one, other] = [keyOf(a, column), keyOf(b, column)];
    if (one === null || other === null) return Number(one === null) - Number(other === null) || byName(a, b);
    return sign * compareValues(one, other) || byName(a, b);
  });
}

/** Whether every word of the text occurs in the point's name or id. */
export function matches(point: Point, text: string): boolean {
  const within = `${point.term_id}:${point.item_id} ${point.name} ${point.protocol_code ?? ""}`.toLowerCase();
  return text.toLowerCase().split(/\s+/).every((part) => within.includes(part));
}
