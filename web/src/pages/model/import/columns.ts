// The columns of the table that imports take, out of the API's schemas; docs/reference/table.rst tells the rules. Pure.
import type { Kind } from "../../../api/types";
import { fieldsOf, isParam, protocolsOf, type FormField, type Schemas } from "../schema";

export interface Column {
  name: string;
  kind: Kind;
  field: FormField;
}

/** Fields that have their own name in the table although they are no fields of a point. */
const PLAIN: Partial<Record<Kind, ReadonlySet<string>>> = {
  device: new Set(["protocol", "ip", "port", "enabled"]),
  item: new Set(["unit", "view_code", "func_type"]),
};
const PREFIX: Record<Kind, string> = {
  device: "device_", term: "term_", item: "item_", term_item: "point_", formula: "formula_",
};
const TAKEN = new Set([...PLAIN.device ?? [], ...PLAIN.item ?? [], "formula"]);
/** Fields that other columns of the row tell. */
const REFERENCES: Partial<Record<Kind, ReadonlySet<string>>> = {
  term: new Set(["device_id"]),
  term_item: new Set(["term_id", "item_id"]),
  formula: new Set(["device_id", "term_id", "item_id"]),
};
const ORDER: readonly Kind[] = ["device", "term", "item", "term_item", "formula"];

function nameOf(kind: Kind, field: string): string {
  if (kind === "formula") return field === "id" ? "formula_id" : field;
  if (kind === "term_item") {
    const clash = TAKEN.has(field) || Object.values(PREFIX).some((prefix) => field.startsWith(prefix)) || isParam(field);
    return clash ? `point_${field}` : field;
  }
  return PLAIN[kind]?.has(field) ? field : `${PREFIX[kind]}${field}`;
}

/** All columns there can be, with the drivers that are installed. */
export function columnsOf(schemas: Schemas): Column[] {
  const found = new Map<string, Column>();
  for (const kind of ORDER) {
    for (const protocol of ["common", ...protocolsOf(schemas)]) {
      for (const field of fieldsOf(schemas, kind, protocol)) {
        if (REFERENCES[kind]?.has(field.name)) continue;
        const name = nameOf(kind, field.name);
        if (!found.has(name)) found.set(name, { name, kind, field });
      }
    }
  }
  return [...found.values()];
}
