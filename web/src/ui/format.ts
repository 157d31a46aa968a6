// Values as people read them.
import type { Json, Quality } from "../api/types";

/** Digits that a 32-bit float is good for; more would show its rounding. */
const DIGITS = 7;

export function valueText(value: Json): string {
  if (value === null) return "—";
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "string") return value;
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  const short = Number(value.toPrecision(DIGITS));
  return Math.abs(short) >= 1e9 || (short !== 0 && Math.abs(short) < 1e-4) ? short.toExponential() : String(short);
}

/** Flags that say the value is old, not wrong. */
const OLD = new Set(["comm_lost", "not_topical", "stale"]);

export type Soundness = "good" | "stale" | "bad";

/** How far a value can be trusted. `time_invalid` alone leaves it usable. */
export function soundness(quality: Quality): Soundness {
  if (quality === "good" || quality.every((flag) => flag === "time_invalid")) return "good";
  return quality.every((flag) => OLD.has(flag) || flag === "time_invalid") ? "stale" : "bad";
}
