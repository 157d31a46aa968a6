// Texts in English and Chinese. Every folder keeps its own `words.ts`; this chooses the language.
import { signal } from "@preact/signals";
import { keep, kept } from "../state/kept";

export type Language = "en" | "zh";

/** Words of one part of the pages: both languages have the same keys, which the type checks. */
export interface Words<K extends string> {
  en: Record<K, string>;
  zh: Record<K, string>;
}

export const language = signal<Language>(kept("language", ["en", "zh"], preferred()));

function preferred(): Language {
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

export function setLanguage(next: Language): void {
  language.value = next;
  keep("language", next);
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}

/** For `const t = translator(words)`: `t("points", { count: 3 })` fills `{count}`. Call it while rendering. */
export function translator<K extends string>(words: Words<K>) {
  return (key: K, values: Record<string, string | number> = {}): string =>
    words[language.value][key].replace(/\{(\w+)\}/g, (whole, name: string) =>
      name in values ? String(values[name]) : whole,
    );
}
