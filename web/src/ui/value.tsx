// A value with everything one needs to trust it: unit, quality and age.
import type { Signal } from "@preact/signals";
import { translator } from "../i18n/i18n";
import type { Sample } from "../live/values";
import { ageText, exactText, now } from "../state/time";
import { soundness, valueText } from "./format";
import { named, QualityMark } from "./marks";
import { words } from "./words";

const t = translator(words);

/** The bare value and its unit; how it looks tells stale and bad, the title says why. */
export function Value({ sample, unit = "" }: { sample: Signal<Sample | null>; unit?: string }) {
  const shown = sample.value;
  if (!shown) return <span class="value muted" title={t("noValue")}>—</span>;
  const kind = soundness(shown.quality);
  const flags = shown.quality === "good" ? t("good") : shown.quality.map(named).join(", ");
  return (
    <span class={`value ${kind}`} title={`${flags}, ${exactText(shown.time)}`}>
      {kind === "good" ? "" : kind === "bad" ? "✕ " : "◌ "}
      {valueText(shown.value)}
      {unit && <span class="unit">{unit}</span>}
    </span>
  );
}

/** How old a sample is. */
export function Age({ sample }: { sample: Signal<Sample | null> }) {
  const shown = sample.value;
  if (!shown) return <span class="muted">—</span>;
  return <time dateTime={shown.time} title={exactText(shown.time)}>{ageText(now.value - Date.parse(shown.time))}</time>;
}

export function Flags({ sample, always = false }: { sample: Signal<Sample | null>; always?: boolean }) {
  const shown = sample.value;
  return shown ? <QualityMark quality={shown.quality} always={always} /> : <span class="muted">{t("noValue")}</span>;
}
