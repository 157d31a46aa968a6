// Which fields stand together in a form. What is not listed belongs to the protocol. Pure.
import type { Kind } from "../../api/types";
import type { FormField } from "./schema";

export type Group = "identity" | "expression" | "connection" | "address" | "scaling" | "storing" | "watching";

const POINT: Record<string, Group> = {
  term_id: "identity", item_id: "identity",
  base_val: "scaling", coefficient: "scaling", writable: "scaling", command_mode: "scaling", command_type: "scaling",
  command_address: "scaling", qualifier: "scaling",
  deadband: "storing", deadband_percent: "storing", min_period: "storing", max_silence: "storing",
  history_length: "storing", db_save: "storing", db_save_sql: "storing", db_warn_sql: "storing",
  stale_after: "watching", frozen_after: "watching", low_low: "watching", down_limit: "watching", up_limit: "watching",
  high_high: "watching", hysteresis: "watching", alarm_delay: "watching", alarm_priority: "watching",
  quality_alarm: "watching", do_verify: "watching", warn_msg: "watching",
};
const DEVICE = new Set(["id", "name", "protocol", "ip", "port", "enabled", "description", "identify"]);

function groupOf(kind: Kind, name: string): Group {
  if (kind === "term_item") return POINT[name] ?? "address";
  if (kind === "formula" && name === "formula") return "expression";
  return kind !== "device" || DEVICE.has(name) ? "identity" : "connection";
}

/** The groups of a form, with their fields in the order of the schema. */
export function groupsOf(kind: Kind, fields: readonly FormField[]): [Group, FormField[]][] {
  const found = new Map<Group, FormField[]>();
  for (const field of fields) {
    const group = groupOf(kind, field.name);
    found.set(group, [...(found.get(group) ?? []), field]);
  }
  const expression = found.get("expression"); // its check and its parameters follow it
  if (expression) {
    found.delete("expression");
    found.set("expression", expression);
  }
  return [...found];
}
