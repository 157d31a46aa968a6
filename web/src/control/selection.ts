// Select before operate in two steps: the device holds what was selected until it is executed or given up.
import { Problem, send, type Request } from "../api/client";
import type { SelectAnswer } from "../api/types";
import { pointOf, type Command } from "./command";

export interface Held {
  id: string;
  /** Seconds that it is held in all. */
  seconds: number;
  /** When it is over, by `performance.now()`. */
  until: number;
}

/** Its key is not that of the execute, which is another request. */
export const selectRequest = ({ id, value, expiresIn, reason, key }: Command): Request => ({
  method: "POST",
  path: "/api/v2/device_select",
  headers: { "Idempotency-Key": `${key}.select` },
  body: { ...pointOf(id), value, expires_in: expiresIn, ...(reason ? { reason } : {}) },
});

/** It goes out even when the page is being left. */
export const cancelRequest = (id: string, selectionId: string): Request => ({
  method: "POST",
  path: "/api/v2/device_select/cancel",
  body: { ...pointOf(id), selection_id: selectionId },
  keepalive: true,
});

/** Seconds that are left of a selection whose answer comes now: until it expires, when the clocks agree, or else all
 * of its time. */
export function remaining({ expires, seconds }: SelectAnswer, now: number): number {
  const left = (Date.parse(expires) - now) / 1000;
  return left > seconds / 2 && left <= seconds ? left : seconds;
}

/** Whole seconds to be shown; 0: it is over. */
export const countdown = (until: number, now: number): number => Math.max(0, Math.ceil((until - now) / 1000));

export type Selecting = { held: Held; problem: null } | { held: null; problem: Problem };

/** Select at the device; `now` is the clock of the server, when the answer has come. When the answer is lost the device
 * may hold the selection: it is asked for once more, under the same key. */
export async function select(command: Command, now: () => number): Promise<Selecting> {
  const began = performance.now();
  const first = await trySelect(command);
  const { answer, problem } = first.problem?.status === 0 ? await trySelect(command) : first;
  if (!answer) return { held: null, problem };
  // a repeated answer is older than it looks: the selection was held from some moment after the first try on
  const left = first.problem ? answer.seconds - (performance.now() - began) / 1000 : remaining(answer, now());
  return { held: { id: answer.selection_id, seconds: answer.seconds, until: performance.now() + left * 1000 }, problem: null };
}

async function trySelect(command: Command): Promise<{ answer: SelectAnswer; problem: null } | { answer: null; problem: Problem }> {
  try {
    return { answer: (await (await send(selectRequest(command))).json()) as SelectAnswer, problem: null };
  } catch (error) {
    // also an answer that broke off on its way
    return { answer: null, problem: error instanceof Problem ? error : new Problem(0, String(error)) };
  }
}

/** Give a selection up; says what went wrong. That it is over already (409) is what was wanted. */
export async function cancel(id: string, selectionId: string): Promise<Problem | null> {
  try {
    await send(cancelRequest(id, selectionId));
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem(0, String(error));
    return problem.status === 409 ? null : problem;
  }
  return null;
}
