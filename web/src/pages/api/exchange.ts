// Sends a request as it is, and reads the answer as it comes, also one that never ends.
import { token } from "../../state/token";
import type { Filled } from "./openapi";

export interface Answer {
  status: number;
  statusText: string;
  headers: [name: string, value: string][];
  /** Milliseconds until the answer began. */
  took: number;
  type: string;
  text: string;
  /** Whether more is expected. */
  open: boolean;
  /** Whether the rest was left out. */
  cut: boolean;
}

/** Characters that are shown. */
const MOST = 200_000;

/** `show` gets the answer whenever more of it has come. */
export async function exchange(
  { method, path, headers: given }: Filled,
  body: { type: string; text: string } | null,
  signal: AbortSignal,
  show: (answer: Answer) => void,
): Promise<void> {
  const headers: Record<string, string> = { ...given };
  if (token.peek()) headers["Authorization"] = `Bearer ${token.peek()}`;
  if (body) headers["Content-Type"] = body.type;
  const began = performance.now();
  const response = await fetch(path, { method, headers, cache: "no-store", signal, ...(body ? { body: body.text } : {}) });
  const answer: Answer = {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers],
    took: Math.round(performance.now() - began),
    type: response.headers.get("Content-Type") ?? "",
    text: "",
    open: true,
    cut: false,
  };
  show(answer);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      answer.text += part.value;
      if (answer.text.length > MOST) {
        answer.text = answer.text.slice(0, MOST);
        answer.cut = true;
        await reader?.cancel();
        break;
      }
      show({ ...answer });
    }
  } finally {
    show({ ...answer, open: false });
  }
}

/** JSON laid out for reading, without touching its numbers' digits beyond what JSON.parse does; else the text itself. */
export function pretty(text: string, type: string): string {
  if (!type.includes("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // it has not come to its end, or was cut
  }
}
