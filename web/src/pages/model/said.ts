// What the server says about a field, in Chinese where `faults.zh.json` has it; else, as of other drivers, as it says it.
import { language } from "../../i18n/i18n";
import zh from "./faults.zh.json";

interface Said {
  pattern: RegExp;
  names: string[];
  chinese: string;
}

/** A text with `{names}` as what finds them; more of plain text goes first, so that the nearest one is found. */
function patternOf([english, chinese]: [string, string]): Said {
  const names = [...english.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
  const plain = english.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return { pattern: new RegExp(`^${plain.join("(.+?)")}$`, "su"), names, chinese };
}

let table: Said[] | undefined;

/** A message of the server as the page says it. */
export function saidOf(message: string): string {
  if (language.value !== "zh") return message;
  const plainLength = ([english]: [string, string]): number => english.replace(/\{\w+\}/g, "").length;
  table ??= Object.entries(zh).sort((a, b) => plainLength(b) - plainLength(a)).map(patternOf);
  for (const { pattern, names, chinese } of table) {
    const found = pattern.exec(message);
    if (!found) continue;
    const values = new Map(names.map((name, index) => [name, found[index + 1] ?? ""]));
    return chinese.replace(/\{(\w+)\}/g, (_, name: string) => values.get(name) ?? "");
  }
  return message;
}
