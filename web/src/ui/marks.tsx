// Signs of what is abnormal: a shape and a word, the colour only comes with them.
import type { Quality } from "../api/types";
import { translator } from "../i18n/i18n";
import { soundness } from "./format";
import { words } from "./words";

const t = translator(words);

/** The text of a word that may be one of ours; else it is shown as it is. */
export function named(word: string): string {
  return word in words.en ? t(word as keyof typeof words.en) : word;
}

const PRIORITY_SHAPES: Record<string, string> = {
  critical: "M1 1h10v10H1z", // square
  high: "M6 0l6 11H0z", // triangle
  medium: "M6 0l6 6-6 6-6-6z", // diamond
  low: "M6 1a5 5 0 110 10A5 5 0 016 1z", // circle
};

/** Priority of an alarm: square, triangle, diamond, circle. */
export function Priority({ priority }: { priority: string }) {
  return (
    <span class={`tag ${priority}`}>
      <svg width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">
        <path d={PRIORITY_SHAPES[priority] ?? PRIORITY_SHAPES["low"]} fill="currentColor" />
      </svg>
      {named(priority)}
    </span>
  );
}

/** Flags of a quality; nothing when it is good, unless `always`. */
export function QualityMark({ quality, always = false }: { quality: Quality; always?: boolean }) {
  if (quality === "good") return always ? <span class="muted">{t("good")}</span> : null;
  const kind = soundness(quality);
  return (
    <span class={`tag ${kind === "good" ? "" : kind}`}>
      <span aria-hidden="true">{kind === "bad" ? "✕" : "◌"}</span>
      {quality.map(named).join(", ")}
    </span>
  );
}

/** State of the way to a device: full, half and empty circle, cross. */
export function LinkMark({ state }: { state: string }) {
  const normal = state === "connected" || state === "virtual";
  const shape = normal ? "●" : state === "connecting" ? "◐" : state === "disabled" ? "○" : "✕";
  return (
    <span class={normal || state === "disabled" ? "mark muted" : "tag high"}>
      <span aria-hidden="true">{shape}</span>
      {named(state)}
    </span>
  );
}
