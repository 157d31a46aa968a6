// What fields are called, and what their help and their choices say: in English as the API has it, in Chinese as in
// `fields.zh.json`. That goes by the API's own texts, so what is not in it, as of other drivers, stays as it is there.
import { language } from "../../i18n/i18n";
import zh from "./fields.zh.json";

const LABELS: Record<"en" | "zh", Record<string, string>> = {
  en: {
    id: "Id", ip: "Host", port: "TCP port", name: "Name", identify: "Identification", frame_log: "Frames kept",
    k: "k: unacknowledged frames", w: "w: frames until acknowledged", t0: "t0: connecting", t1: "t1: acknowledgement", t2: "t2: own acknowledgement", t3: "t3: silence",
    coll_interval: "General interrogation every", counter_interval: "Counter interrogation every", tls: "TLS", tls_ca: "TLS: CA", tls_certificate: "TLS: certificate",
    tls_key: "TLS: key", tls_name: "TLS: name", device_id: "Device", term_id: "Term", item_id: "Item", protocol_code: "Address", code_type: "Type",
    base_val: "Offset", coefficient: "Factor", writable: "May be written", down_limit: "Low limit", up_limit: "High limit", low_low: "Low-low limit", high_high: "High-high limit",
    do_verify: "Rule", warn_msg: "Alarm text", db_save: "Archive", db_save_sql: "SQL for a value", db_warn_sql: "SQL for an alarm", history_length: "Recent samples kept",
    max_gap: "Largest gap", max_block: "Largest block", max_in_flight: "Requests at once",
  },
  zh: zh.labels,
};
const HELP: Record<string, string> = zh.help;
const CHOICES: Record<string, Record<string, string>> = zh.choices;

/** A name of somebody else may be one that every object has, as `constructor`. */
const own = <V>(table: Record<string, V>, key: string): V | undefined => (Object.hasOwn(table, key) ? table[key] : undefined);

export function labelOf(name: string): string {
  const plain = name.replaceAll("_", " ");
  return own(LABELS[language.value], name) ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** @param given as the API has it; its marks of code are for its reference. */
export function helpOf(given: string): string {
  const said = language.value === "zh" ? own(HELP, given) : undefined;
  return said ?? given.replaceAll("``", "");
}

/** A choice of a field keeps its own name in any language, by which files and other programs know it. */
export function choiceOf(field: string, choice: string): string {
  const said = language.value === "zh" ? own(own(CHOICES, field) ?? {}, choice) : undefined;
  return said === undefined ? choice : `${choice} · ${said}`;
}
