// What is being entered: a text for every field, and what that is as an object or as a merge patch (RFC 7396). Pure.
import type { ModelObject } from "../../api/types";
import { isParam, type FormField } from "./schema";

/** Field -> text; "" means the default (which the form shows as placeholder). */
export type Draft = Record<string, string>;
/** What is wrong with one field: a key of the page's words and what goes into it. */
export interface Fault {
  key: "required" | "notNumber" | "notWhole" | "tooSmall" | "tooBig" | "notAbove" | "notBelow" | "tooLong" | "badForm" | "notChoice";
  limit: string;
}
export type Faults = Record<string, Fault>;

/** Fields that say how it is, not how it is configured. */
const LIVE = new Set(["status", "link"]);

/** A value as it stands in a field. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

/** The texts of an object; what has its default is left empty, unless it must be given. */
export function draftOf(fields: readonly FormField[], object: ModelObject): Draft {
  const draft: Draft = {};
  for (const field of fields) {
    const value = object[field.name];
    draft[field.name] = !field.required && field.type !== "const" && same(value, field.default) ? "" : textOf(value);
  }
  for (const name of Object.keys(object)) if (isParam(name)) draft[name] = textOf(object[name]);
  return draft;
}

/** Fields of an object that its form does not know; they are kept as they are. */
export function extrasOf(fields: readonly FormField[], object: ModelObject): ModelObject {
  const known = new Set(fields.map((field) => field.name));
  return Object.fromEntries(
    Object.entries(object).filter(([name]) => !known.has(name) && !LIVE.has(name) && !isParam(name)),
  );
}

/** What a text means in a field. */
export function parsed(field: FormField, given: string): { value: unknown; fault: Fault | null } {
  const text = field.type === "text" || field.type === "long" ? given : given.trim();
  const bad = (key: Fault["key"], limit = ""): { value: unknown; fault: Fault } => ({ value: undefined, fault: { key, limit } });
  switch (field.type) {
    case "boolean":
      return { value: text === "true", fault: null };
    case "choice": {
      const value = field.choices.find((choice) => String(choice) === text);
      return value === undefined ? bad("notChoice") : { value, fault: null };
    }
    case "integer":
    case "number":
      return number(field, text);
    case "any":
      return { value: json(text), fault: null };
    default:
      if (field.maxLength !== null && text.length > field.maxLength) return bad("tooLong", String(field.maxLength));
      if (field.pattern !== null && !new RegExp(field.pattern, "u").test(text)) return bad("badForm");
      return { value: text, fault: null };
  }
}

function number({ type, range }: FormField, text: string): { value: unknown; fault: Fault | null } {
  const value = Number(text);
  const fault = (key: Fault["key"], limit = ""): { value: unknown; fault: Fault } => ({ value, fault: { key, limit } });
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(value)) return fault("notNumber");
  if (type === "integer" && !Number.isInteger(value)) return fault("notWhole");
  if (range.min !== null && (value < range.min || (range.above && value === range.min)))
    return fault(range.above ? "notAbove" : "tooSmall", String(range.min));
  if (range.max !== null && (value > range.max || (range.below && value === range.max)))
    return fault(range.below ? "notBelow" : "tooBig", String(range.max));
  return { value, fault: null };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

interface Result {
  body: ModelObject;
  faults: Faults;
}

/** The whole object that the texts describe; empty fields are left out, so that they get their defaults. */
export function objectOf(fields: readonly FormField[], draft: Draft): Result {
  const body: ModelObject = {};
  const faults: Faults = {};
  for (const field of fields) {
    if (field.type === "const") {
      body[field.name] = field.default;
      continue;
    }
    const text = draft[field.name] ?? "";
    if (text === "") {
      if (field.required) faults[field.name] = { key: "required", limit: "" };
      continue;
    }
    const { value, fault } = parsed(field, text);
    if (fault) faults[field.name] = fault;
    else body[field.name] = value;
  }
  for (const [name, text] of Object.entries(draft)) if (isParam(name) && text !== "") body[name] = text.trim();
  return { body, faults };
}

/** Fields whose text is another one than that of the object, right or wrong. */
export function touched(fields: readonly FormField[], opened: ModelObject, draft: Draft): string[] {
  const old = draftOf(fields, opened);
  return [...new Set([...Object.keys(old), ...Object.keys(draft)])].filter((name) => (old[name] ?? "") !== (draft[name] ?? ""));
}

/** What a person changed: only these fields are sent, null sets one back to its default. */
export function patchOf(fields: readonly FormField[], before: ModelObject, draft: Draft): Result {
  const { body, faults: all } = objectOf(fields, draft);
  const patch: ModelObject = {};
  const faults: Faults = {}; // none of untouched fields: what the server has was taken by it once
  for (const name of touched(fields, before, draft)) {
    const fault = all[name];
    if (fault) faults[name] = fault;
    else patch[name] = (draft[name] ?? "") === "" ? null : body[name];
  }
  return { body: patch, faults };
}

export interface Difference {
  field: string;
  opened: unknown;
  now: unknown;
}

/** What somebody else changed since `opened` was read. */
export function differences(opened: ModelObject, now: ModelObject): Difference[] {
  return [...new Set([...Object.keys(opened), ...Object.keys(now)])]
    .filter((field) => !LIVE.has(field) && !same(opened[field], now[field]))
    .map((field) => ({ field, opened: opened[field], now: now[field] }));
}
