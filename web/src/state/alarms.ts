// The life of alarms as the pages sort and count them (states of ISA-18.2).
import type { Alarm } from "../api/types";

const RANK: Record<string, number> = { critical: 3, high: 2, medium: 1, low: 0 };

export const isUnacknowledged = (alarm: Alarm): boolean =>
  alarm.state === "active_unacknowledged" || alarm.state === "returned_unacknowledged";
/** Its condition holds, and it is not shelved. */
export const isActive = (alarm: Alarm): boolean =>
  alarm.state === "active_unacknowledged" || alarm.state === "active_acknowledged";
export const isShelved = (alarm: Alarm): boolean => alarm.state === "shelved";
export const rankOf = (priority: string): number => RANK[priority] ?? 0;

/** Order of attention: unacknowledged first, then active, then priority, then the newest. */
export function byUrgency(a: Alarm, b: Alarm): number {
  return (
    Number(isUnacknowledged(b)) - Number(isUnacknowledged(a)) ||
    Number(isActive(b)) - Number(isActive(a)) ||
    rankOf(b.priority) - rankOf(a.priority) ||
    (b.raised ?? "").localeCompare(a.raised ?? "") ||
    a.id.localeCompare(b.id)
  );
}
