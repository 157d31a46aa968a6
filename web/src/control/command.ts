// A control as it is sent.
import { Problem, send, type Request } from "../api/client";
import type { CtrlAnswer, Json } from "../api/types";

export type Mode = "" | "direct" | "select";

export interface Command {
  /** `device:term:item` */
  id: string;
  value: Json;
  /** "" for protocols without modes. */
  mode: Mode;
  verify: boolean;
  /** Seconds after which it must not be executed any more. */
  expiresIn: number;
  reason: string;
  /** What it executes was selected before, at the device; "" when it was not. */
  selectionId: string;
  /** The same for every try, so that a repeat after a lost answer executes nothing twice. */
  key: string;
}

/** 128 random bits; `crypto.randomUUID` is missing where the page is not served by HTTPS. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The members of a request that name a point. */
export function pointOf(id: string): { device_id: string; term_id: string; item_id: string } {
  const [device_id = "", term_id = "", item_id = ""] = id.split(":");
  return { device_id, term_id, item_id };
}

export function requestOf({ id, value, mode, verify, expiresIn, reason, selectionId, key }: Command): Request {
  return {
    method: "POST",
    path: "/api/v1/device_ctrl",
    headers: { "Idempotency-Key": key },
    body: {
      ...pointOf(id),
      value,
      verify,
      expires_in: expiresIn,
      ...(mode ? { mode } : {}),
      ...(selectionId ? { selection_id: selectionId } : {}),
      ...(reason ? { reason } : {}),
    },
  };
}

export type Outcome = { answer: CtrlAnswer; problem: null } | { answer: null; problem: Problem };

export async function execute(command: Command): Promise<Outcome> {
  try {
    const response = await send(requestOf(command));
    return { answer: (await response.json()) as CtrlAnswer, problem: null };
  } catch (error) {
    // also an answer that broke off on its way
    return { answer: null, problem: error instanceof Problem ? error : new Problem(0, String(error)) };
  }
}

/** What is known when it did not work: not executed, nobody knows, or the answer did not come. To a repeat, 409 says
 * that the outcome of the first try is not known. */
export function knowledgeOf(status: number, repeated = false): "refused" | "device" | "notExecuted" | "unknown" | "lost" {
  if (status === 0) return "lost";
  if (status === 409 && repeated) return "unknown";
  if (status === 502) return "device";
  if (status === 503) return "notExecuted";
  return status === 504 || (status >= 500 && status < 600) ? "unknown" : "refused";
}

/** Whether the same command may be sent again under its key. */
export const mayRepeat = (status: number, repeated = false): boolean =>
  status === 0 || status === 429 || status === 503 || status === 504 || (status === 409 && repeated);
