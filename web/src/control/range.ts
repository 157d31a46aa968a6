// What a point can be set to, from its type, coefficient and base value, as the server checks it. Pure.
import type { Json, TermItem } from "../api/types";

export type Kind = "bool" | "double" | "step" | "integer" | "float" | "text" | "any";

export interface Range {
  kind: Kind;
  /** Name of the type, for people: `int16`, `C_SE_NC_1`. */
  type: string;
  /** Engineering values; null: no bound worth telling. */
  min: number | null;
  max: number | null;
  /** Distance of two values that the type can hold; null: any value between. */
  step: number | null;
  coefficient: number;
  base: number;
  /** Of a text: how many bytes of UTF-8. */
  bytes: number | null;
  /** Whether a command can be selected before it is executed. */
  selectable: boolean;
}

type Raw = readonly [low: number, high: number];
const INTEGERS: Record<string, Raw> = {
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-2_147_483_648, 2_147_483_647],
  uint32: [0, 4_294_967_295],
  int64: [-9_223_372_036_854_775_808, 9_223_372_036_854_775_807],
  uint64: [0, 18_446_744_073_709_551_615],
};
const FLOAT32 = 3.402_823_466_385_288_6e38;
const DOUBLE = Number.MAX_VALUE;

/** Steps of a normalized value from 0 to 1. */
const NORMAL = 32_768;

function rangeFor(kind: Kind, type: string, item: TermItem, raw: Raw | null = null, selectable = false): Range {
  const { coefficient, base_val: base } = item;
  const ends = raw ? [raw[0] * coefficient + base, raw[1] * coefficient + base].sort((a, b) => a - b) : [];
  return {
    kind,
    type,
    min: ends[0] ?? null,
    max: ends[1] ?? null,
    step: kind === "integer" ? Math.abs(coefficient) : null,
    coefficient,
    base,
    bytes: null,
    selectable,
  };
}

function modbus(item: TermItem): Range {
  const bits = /^(co|di|0x|1x)/.test(item.protocol_code ?? "");
  const type = item.code_type ?? (bits || item.bit !== undefined ? "bool" : "uint16");
  if (type === "bool") return rangeFor("bool", type, item);
  if (type === "string") return { ...rangeFor("text", type, item), bytes: item.length ?? null };
  if (type === "float32") return rangeFor("float", type, item, [-FLOAT32, FLOAT32]);
  if (type === "float64") return rangeFor("float", type, item, [-DOUBLE, DOUBLE]);
  return rangeFor("integer", type, item, INTEGERS[type] ?? null);
}

/** Command (as of IEC 60870-5-101, 7.2.6) -> type identifications of the points that it moves, and its own. */
const COMMANDS: readonly (readonly [name: string, numbers: readonly number[], names: RegExp])[] = [
  ["C_SC_NA_1", [1, 2, 30, 45, 58], /^(M_SP|C_SC)_/],
  ["C_DC_NA_1", [3, 4, 31, 46, 59], /^(M_DP|C_DC)_/],
  ["C_RC_NA_1", [5, 6, 32, 47, 60], /^(M_ST|C_RC)_/],
  ["C_BO_NA_1", [7, 8, 33, 51, 64], /^(M_BO|C_BO)_/],
  ["C_SE_NA_1", [9, 10, 34, 21, 48, 61], /^(M_ME_(NA|TA|TD|ND)|C_SE_(NA|TA))_/],
  ["C_SE_NB_1", [11, 12, 35, 49, 62], /^(M_ME_(NB|TB|TE)|C_SE_(NB|TB))_/],
  ["C_SE_NC_1", [13, 14, 36, 50, 63], /^(M_ME_(NC|TC|TF)|C_SE_(NC|TC))_/],
];

function iec104(item: TermItem): Range {
  const type = String(item.command_type ?? item.code_type ?? "");
  const command = COMMANDS.find(([, numbers, names]) => names.test(type) || numbers.includes(Number(type || NaN)))?.[0];
  switch (command) {
    case "C_SC_NA_1":
      return rangeFor("bool", command, item, null, true);
    case "C_DC_NA_1":
      return rangeFor("double", command, item, null, true);
    case "C_RC_NA_1":
      return rangeFor("step", command, item, null, true);
    case "C_BO_NA_1":
      return rangeFor("integer", command, item, [0, 0xffff_ffff]);
    case "C_SE_NA_1":
      // the nearest of its steps is taken
      return rangeFor("float", command, item, [-1, 1 - 1 / NORMAL], true);
    case "C_SE_NB_1":
      return rangeFor("integer", command, item, [-32_768, 32_767], true);
    case "C_SE_NC_1":
      return rangeFor("float", command, item, [-FLOAT32, FLOAT32], true);
    default:
      return rangeFor("any", type, item, null, true);
  }
}

export function rangeOf(protocol: string, item: TermItem): Range {
  if (protocol === "modbus_tcp") return modbus(item);
  if (protocol === "iec104") return iec104(item);
  return rangeFor("any", item.code_type ?? "", item);
}

export type Fault = "" | "empty" | "number" | "low" | "high" | "step" | "long" | "choose";

export interface Checked {
  /** What is sent; null while there is a fault. */
  value: Json;
  fault: Fault;
}

const NUMBER = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$/;
const INTEGER = /^[+-]?[0-9]{1,40}$/;
/** Part of a step that scaling may lose. */
const NOISE = 1e-6;

/** Whether a text can be sent as it stands, or why not. */
export function check(range: Range, text: string): Checked {
  if (range.kind === "text") return textOf(range, text);
  const given = text.trim();
  if (given === "") return { value: null, fault: range.kind === "integer" || range.kind === "float" || range.kind === "any" ? "empty" : "choose" };
  if (range.kind === "bool") return { value: given === "1", fault: given === "0" || given === "1" ? "" : "choose" };
  if (range.kind === "double" || range.kind === "step")
    return given === "1" || given === "2" ? { value: Number(given), fault: "" } : { value: null, fault: "choose" };
  if (range.kind === "any") return { value: NUMBER.test(given) ? exact(given) : given, fault: "" };
  return numberOf(range, given);
}

function textOf(range: Range, text: string): Checked {
  const long = range.bytes !== null && new TextEncoder().encode(text).length > range.bytes;
  return long ? { value: null, fault: "long" } : { value: text, fault: "" };
}

/** A whole number beyond what JavaScript counts exactly stays a text, which the server takes, too. */
function exact(text: string): Json {
  const number = Number(text);
  return INTEGER.test(text) && !Number.isSafeInteger(number) ? text : number;
}

function numberOf(range: Range, text: string): Checked {
  if (!NUMBER.test(text) || !Number.isFinite(Number(text))) return { value: null, fault: "number" };
  const number = Number(text);
  const scaled = range.coefficient !== 1 || range.base !== 0;
  if (range.kind === "integer" && !scaled && INTEGER.test(text)) {
    // 64 bits are more than a number of JavaScript holds
    const whole = BigInt(text.replace("+", ""));
    if (range.type.endsWith("int64")) {
      if (range.min !== null && whole < (range.type === "int64" ? -(2n ** 63n) : 0n)) return { value: null, fault: "low" };
      if (range.max !== null && whole >= (range.type === "int64" ? 2n ** 63n : 2n ** 64n)) return { value: null, fault: "high" };
      return { value: exact(text), fault: "" };
    }
  }
  const slack = range.step !== null ? range.step * NOISE : Math.abs(number) * Number.EPSILON;
  if (range.min !== null && number < range.min - slack) return { value: null, fault: "low" };
  if (range.max !== null && number > range.max + slack) return { value: null, fault: "high" };
  if (range.step !== null) {
    const raw = (number - range.base) / range.coefficient;
    const lost = Math.max(NOISE, 4 * Math.abs(raw) * Number.EPSILON);
    if (Math.abs(raw - Math.round(raw)) > lost) return { value: null, fault: "step" };
  }
  return { value: exact(text), fault: "" };
}

/** Whether a range is worth showing: not the end of all 32- or 64-bit floating point numbers. */
export const isNarrow = ({ min, max }: Range): boolean =>
  min !== null && max !== null && Math.abs(min) < 1e30 && Math.abs(max) < 1e30;

/** The states of a command, as texts of `check`. */
export const CHOICES: Partial<Record<Kind, readonly string[]>> = { bool: ["0", "1"], double: ["1", "2"], step: ["1", "2"] };
