// Values of a point as its operator knows them: states by name.
import type { Json } from "../api/types";
import { translator } from "../i18n/i18n";
import { valueText } from "../ui/format";
import type { Kind } from "./range";
import { words } from "./words";

const t = translator(words);

/** States of a double point, as of IEC 60870-5-101, 7.2.6.2. */
const DOUBLE = ["between", "off", "on", "faulty"] as const;

/** All digits of a bound: it must be right to the last one. */
export const boundText = (number: number): string => String(Number(number.toPrecision(15)));

/** `on (2)`, `230.1 V`. A step command moves a position, so its present value is no state. */
export function stateText(kind: Kind, value: Json, unit: string, command = false): string {
  if (kind === "bool" && (typeof value === "boolean" || value === 0 || value === 1)) return `${t(value ? "on" : "off")} (${Number(value)})`;
  if (kind === "double" && typeof value === "number" && DOUBLE[value]) return `${t(DOUBLE[value])} (${value})`;
  if (kind === "step" && command && (value === 1 || value === 2)) return `${t(value === 1 ? "lower" : "higher")} (${value})`;
  return `${valueText(value)} ${unit}`.trim();
}
