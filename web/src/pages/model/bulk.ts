// Many objects changed at once: which ones, what becomes of each. Pure.
import type { ModelObject } from "../../api/types";
import { parsed, textOf, type Draft, type Faults } from "./draft";
import type { FormField } from "./schema";

/** Fields that all of these forms have, of the same type: what can be set for all of them at once. */
export function commonFields(forms: readonly (readonly FormField[])[]): FormField[] {
  const [first = [], ...others] = forms;
  return first.filter(
    (field) =>
      field.type !== "const" &&
      !NEVER.has(field.name) &&
      others.every((form) => form.some((other) => other.name === field.name && other.type === field.type)),
  );
}

/** What tells objects apart cannot be the same for all. */
const NEVER = new Set(["id", "term_id", "item_id"]);

export interface Planned {
  key: string;
  /** Field -> before and after; "" is the default. */
  changes: { field: string; before: string; after: string }[];
  /** The whole object, as the batch takes it. */
  body: ModelObject;
}

/**
 * What becomes of objects of which only what is not the default is known, as an export has them.
 * `set` names the fields to be set; "" sets one back to its default.
 */
export function planned(
  objects: ReadonlyMap<string, ModelObject>,
  fields: readonly FormField[],
  set: Draft,
): { plan: Planned[]; faults: Faults } {
  const faults: Faults = {};
  const wanted: { field: FormField; value: unknown; text: string }[] = [];
  for (const field of fields) {
    const text = set[field.name];
    if (text === undefined) continue;
    if (text === "") {
      if (field.required) faults[field.name] = { key: "required", limit: "" };
      else wanted.push({ field, value: undefined, text });
      continue;
    }
    const { value, fault } = parsed(field, text);
    if (fault) faults[field.name] = fault;
    else wanted.push({ field, value, text });
  }
  const plan: Planned[] = [];
  for (const [key, object] of objects) {
    const body: ModelObject = { ...object };
    const changes: Planned["changes"] = [];
    for (const { field, value } of wanted) {
      const before = object[field.name];
      const now = value === undefined ? field.default : value;
      if (textOf(before ?? field.default) === textOf(now)) continue;
      changes.push({ field: field.name, before: textOf(before ?? field.default), after: textOf(now) });
      if (value === undefined) delete body[field.name];
      else body[field.name] = value;
    }
    if (changes.length) plan.push({ key, changes, body });
  }
  return { plan, faults };
}
