// Light, dark, or what the system prefers.
import { signal } from "@preact/signals";
import { keep, kept } from "./kept";

export type Theme = "auto" | "light" | "dark";
export const theme = signal<Theme>(kept("theme", ["auto", "light", "dark"], "auto"));

export function applyTheme(next: Theme): void {
  theme.value = next;
  keep("theme", next);
  if (next === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = next;
}
