// What a change changed, field by field. Pure.

export interface Difference {
  /** Path of the field, as `link.state`; "" for a bare value. */
  field: string;
  kind: "added" | "removed" | "changed";
  before: unknown;
  after: unknown;
}

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);
const isNothing = (value: unknown): boolean => value === undefined || value === null;
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Differences in the order of the fields; objects within objects are compared by their fields, too. */
export function differencesOf(before: unknown, after: unknown, field = ""): Difference[] {
  if ((isFields(before) || isNothing(before)) && (isFields(after) || isNothing(after)) && (isFields(before) || isFields(after))) {
    const old = (before ?? {}) as Fields;
    const now = (after ?? {}) as Fields;
    const names = [...new Set([...Object.keys(old), ...Object.keys(now)])];
    return names.flatMap((name) => differencesOf(old[name], now[name], field ? `${field}.${name}` : name));
  }
  if (same(before ?? null, after ?? null)) return [];
  const kind = isNothing(before) ? "added" : isNothing(after) ? "removed" : "changed";
  return [{ field, kind, before, after }];
}

/** A value of an audit entry as text; texts without quotes, nothing as a dash. */
export function plainText(value: unknown): string {
  if (isNothing(value)) return "—";
  return typeof value === "string" ? value : JSON.stringify(value);
}
