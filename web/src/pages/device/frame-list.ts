// Frames as they come in pieces that overlap. Pure.
import type { Frame } from "../../api/types";

/** A frame on the page. */
export interface Kept {
  /** Counts up; names the row. */
  key: number;
  frame: Frame;
  /** Whether frames before this one may be missing. */
  gap: boolean;
}

/** Frames kept on the page. */
export const MOST = 5000;

const same = (a: Frame, b: Frame): boolean =>
  a.time === b.time && a.direction === b.direction && a.hex === b.hex && a.text === b.text;

/** Whether `kept` ends with the first `count` of `frames`. */
function overlaps(kept: readonly Kept[], frames: readonly Frame[], count: number): boolean {
  for (let index = 0; index < count; index++) {
    const old = kept[kept.length - count + index];
    const fresh = frames[index];
    if (!old || !fresh || !same(old.frame, fresh)) return false;
  }
  return true;
}

/** Both oldest first; `frames` are the newest of the device, and may begin with some that are kept already. */
export function merged(kept: readonly Kept[], frames: readonly Frame[]): readonly Kept[] {
  let known = Math.min(kept.length, frames.length);
  while (known > 0 && !overlaps(kept, frames, known)) known--;
  if (known === frames.length) return kept;
  let key = kept.at(-1)?.key ?? 0;
  const fresh = frames.slice(known).map((frame, index) => ({
    key: ++key,
    frame,
    gap: index === 0 && known === 0 && kept.length > 0,
  }));
  return [...kept, ...fresh].slice(-MOST);
}

export type Direction = "all" | Frame["direction"];

/** Those of a direction whose words, or bytes in hexadecimal, contain the text. */
export function selected(kept: readonly Kept[], text: string, direction: Direction): Kept[] {
  const words = text.trim().toLowerCase();
  const hex = words.replaceAll(/\s/g, "");
  return kept.filter(({ frame }) => {
    if (direction !== "all" && frame.direction !== direction) return false;
    return !words || frame.text.toLowerCase().includes(words) || (/^[0-9a-f]+$/.test(hex) && frame.hex.includes(hex));
  });
}

/** `01 0a ff`, for reading. */
export const spaced = (hex: string): string => hex.match(/../g)?.join(" ") ?? "";

/** One line each: time, direction, bytes, meaning; fields separated by tabs. */
export const asText = (kept: readonly Kept[]): string =>
  kept
    .map(({ frame, gap }) => `${gap ? "...\n" : ""}${frame.time}\t${frame.direction}\t${frame.hex}\t${frame.text}\n`)
    .join("");
