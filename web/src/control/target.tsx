// Which point it is, and how it is now.
import type { Device, Point } from "../api/types";
import { translator } from "../i18n/i18n";
import { latestOf } from "../live/values";
import { soundness, valueText } from "../ui/format";
import { Age, Flags, Value } from "../ui/value";
import { isNarrow, type Range } from "./range";
import { boundText, stateText } from "./shown";
import { words } from "./words";

const t = translator(words);

export function Target({ id, point, device, range }: { id: string; point: Point; device: Device; range: Range | null }) {
  const sample = latestOf(id);
  const limits = limitsText(point);
  const isState = range?.kind === "bool" || range?.kind === "double";
  return (
    <dl class="control-target">
      <dt>{t("device")}</dt>
      <dd class="wrap-anywhere">{device.name || device.id} <span class="muted">{device.id}</span></dd>
      <dt>{t("address")}</dt>
      <dd class="wrap-anywhere mono">{point.term_id} · {point.protocol_code ?? "—"}{range?.type && <span class="muted"> {t("type", { type: range.type })}</span>}</dd>
      <dt>{t("present")}</dt>
      <dd class="row control-present">
        <strong>
          {isState && sample.value
            ? <span class={`value ${soundness(sample.value.quality)}`}>{stateText(range.kind, sample.value.value, "")}</span>
            : <Value sample={sample} unit={point.unit} />}
        </strong>
        <Flags sample={sample} always />
        {sample.value && <span class="muted"><Age sample={sample} /></span>}
      </dd>
      {range && <><dt>{t("range")}</dt><dd>{rangeText(range, point.unit)}</dd></>}
      {limits && <><dt>{t("limits")}</dt><dd>{limits} {point.unit}</dd></>}
    </dl>
  );
}

export function rangeText(range: Range, unit: string): string {
  if (range.kind === "bool" || range.kind === "double" || range.kind === "step") return t("one");
  if (range.kind === "text") return range.bytes === null ? t("anyText") : t("bytes", { count: range.bytes });
  if (!isNarrow(range) || range.min === null || range.max === null) return t("anyNumber");
  const text = `${t("fromTo", { min: boundText(range.min), max: boundText(range.max) })} ${unit}`.trim();
  return range.step !== null && range.step !== 1 ? `${text}, ${t("steps", { step: boundText(range.step) })}` : text;
}

/** `40 … 90`: from the lowest alarm limit to the highest. */
function limitsText({ low_low, down_limit, up_limit, high_high }: Point): string {
  const low = [low_low, down_limit].filter((limit) => limit !== null && limit !== undefined).map(valueText).join(" / ");
  const high = [up_limit, high_high].filter((limit) => limit !== null && limit !== undefined).map(valueText).join(" / ");
  return low || high ? `${low || "−∞"} … ${high || "∞"}` : "";
}
