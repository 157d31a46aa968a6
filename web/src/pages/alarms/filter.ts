// Which alarms are shown. Pure; the choice stands in the address.
import type { Alarm } from "../../api/types";
import { isActive, isShelved, isUnacknowledged } from "../../state/alarms";

export interface AlarmFilter {
  /** "" is all but shelved ones. */
  state: StateChoice;
  priority: string;
  device: string;
  text: string;
}

export type StateChoice = "" | "unacknowledged" | "active" | "returned" | "shelved" | "all";
export const STATE_CHOICES: readonly StateChoice[] = ["", "unacknowledged", "active", "returned", "shelved", "all"];
export const PRIORITIES = ["critical", "high", "medium", "low"] as const;
export const KINDS = ["high_high", "high", "low", "low_low", "rule", "quality", "stale"] as const;
export const EVENTS = ["raise", "clear", "ack", "shelve", "unshelve", "remove"] as const;

export function filterOf(query: URLSearchParams): AlarmFilter {
  const state = (query.get("state") ?? "") as StateChoice;
  return {
    state: STATE_CHOICES.includes(state) ? state : "",
    priority: query.get("priority") ?? "",
    device: query.get("device") ?? "",
    text: query.get("text") ?? "",
  };
}

const IN_STATE: Record<StateChoice, (alarm: Alarm) => boolean> = {
  "": (alarm) => !isShelved(alarm),
  unacknowledged: isUnacknowledged,
  active: isActive,
  returned: (alarm) => alarm.state === "returned_unacknowledged",
  shelved: isShelved,
  all: () => true,
};

/** `names`: what else the text is looked for in, as the names of point and device. Every word must occur. */
export function matches(filter: AlarmFilter, alarm: Alarm, names: string): boolean {
  if (!IN_STATE[filter.state](alarm)) return false;
  if (filter.priority && alarm.priority !== filter.priority) return false;
  if (filter.device && alarm.device_id !== filter.device) return false;
  if (!filter.text.trim()) return true;
  const within = `${alarm.id} ${alarm.warn_msg} ${alarm.user} ${alarm.note} ${names}`.toLowerCase();
  return filter.text.toLowerCase().split(/\s+/).every((word) => within.includes(word));
}
