// A file as it was chosen: what it is, and its text. Pure.

export type Format = "csv" | "json" | "yaml";

export const MEDIA: Record<Format, string> = { csv: "text/csv", json: "application/json", yaml: "application/yaml" };

/** Encodings of tables that older spreadsheets write. */
export const ENCODINGS = ["windows-1252", "gb18030", "big5", "shift_jis", "utf-16le", "utf-16be"] as const;

/** By the name of the file; without a telling one by how the text begins. */
export function formatOf(name: string, text: string): Format {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase();
  if (ending === "json") return "json";
  if (ending === "yaml" || ending === "yml") return "yaml";
  if (ending === "csv" || ending === "tsv" || ending === "txt") return "csv";
  const start = text.replace(/^\uFEFF/, "").trimStart();
  if (start.startsWith("{") || start.startsWith("[")) return "json";
  return /^(---|pydatacoll:|(devices|terms|items|term_items|formulas):)/m.test(start) ? "yaml" : "csv";
}

/** The text of a file. What is not UTF-8 is read as `otherwise`, which the person can change. */
export function decoded(bytes: Uint8Array, otherwise: string): { text: string; encoding: string } {
  const mark = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  const told = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
  try {
    return { text: new TextDecoder(told, { fatal: true }).decode(bytes), encoding: told };
  } catch {
    return { text: new TextDecoder(otherwise).decode(bytes), encoding: otherwise };
  }
}
