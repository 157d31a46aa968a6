// What people do with alarms: acknowledge, shelve, end shelving.
import { Problem, send, type Request } from "../../api/client";
import type { Alarm } from "../../api/types";
import { alarms } from "../../state/plant";

export interface Action {
  what: "ack" | "shelve" | "unshelve";
  note: string;
  /** How long, of `shelve`. */
  seconds?: number;
}

export interface Failure {
  alarm: Alarm;
  reason: string;
}

/** Requests under way at once. */
const AT_ONCE = 4;

export function requestOf(alarm: Alarm, { what, note, seconds }: Action): Request {
  return {
    method: "POST",
    path: `/api/v2/alarms/${encodeURIComponent(alarm.id)}/${what}`,
    body: { ...(what === "shelve" ? { seconds } : {}), ...(note ? { note } : {}) },
  };
}

async function performOne(alarm: Alarm, action: Action): Promise<void> {
  const response = await send(requestOf(alarm, action));
  const after = (await response.json()) as Alarm;
  const known = alarms.peek();
  if (known.get(alarm.id) !== alarm) return; // the live connection was quicker, and may know more
  const next = new Map(known);
  if (after.state === "normal") next.delete(after.id);
  else next.set(after.id, after);
  alarms.value = next;
}

/** Do it with each; what fails does not keep the others. `progress` gets how many are done. */
export async function perform(
  wanted: readonly Alarm[],
  action: Action,
  progress: (done: number) => void = () => undefined,
): Promise<Failure[]> {
  const waiting = [...wanted];
  const failures: Failure[] = [];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let alarm = waiting.shift(); alarm; alarm = waiting.shift()) {
      try {
        await performOne(alarm, action);
      } catch (error) {
        failures.push({ alarm, reason: error instanceof Problem ? error.message : String(error) });
      }
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return failures;
}

const UNITS: readonly (readonly [seconds: number, unit: string])[] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
/** Seconds as the shortest text: `8 h`, `90 min`. */
export function durationText(seconds: number): string {
  const [size, unit] = UNITS.find(([each]) => seconds >= each && seconds % each === 0) ?? [1, "s"];
  return `${seconds / size} ${unit}`;
}
