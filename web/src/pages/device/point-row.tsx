// One point: cells of a table, or a card on a phone. Each cell reads its own signals.
import { openControl } from "../../control/open";
import type { Point } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { latestOf } from "../../live/values";
import { href } from "../../routes";
import { isUnacknowledged } from "../../state/alarms";
import { may } from "../../state/session";
import { valueText } from "../../ui/format";
import { Priority } from "../../ui/marks";
import { Age, Flags, Value } from "../../ui/value";
import { alarmByPoint } from "./alarm-marks";
import { beyond } from "./point-list";
import { Sparkline } from "./spark";
import { words } from "./words";

const t = translator(words);

/** How much room there is. */
export type Shape = "card" | "medium" | "wide";

export const COLUMNS: Record<Shape, string> = {
  card: "minmax(0, 1fr) fit-content(62%)",
  medium: "minmax(120px, 2fr) minmax(90px, 1fr) minmax(150px, 1.3fr) 78px 190px",
  wide: "minmax(170px, 2fr) minmax(100px, 1fr) minmax(210px, 1.6fr) 78px 112px 160px 190px",
};

interface RowProps {
  point: Point;
  id: string;
  shape: Shape;
  /** Absent when the device cannot be asked. */
  onCall?: ((point: Point) => void) | undefined;
  /** Whether an answer is awaited. */
  busy: boolean;
}

export function PointRow(props: RowProps) {
  const { point, id, shape } = props;
  const sample = latestOf(id);
  const name = (
    <div role="cell" title={id} class={`device-name ${shape === "card" ? "two-lines" : ""}`}>
      {point.name || point.item_id} {shape === "wide" && <span class="muted">{point.term_id}:{point.item_id}</span>}
    </div>
  );
  if (shape === "card")
    return (
      <>
        {name}
        <div role="cell" class="number"><Value sample={sample} unit={point.unit} /> <span class="muted">· <Age sample={sample} /></span></div>
        <div role="cell" class="device-state"><AlarmMark id={id} /> <Over point={point} id={id} /> <Flags sample={sample} always /></div>
        <Actions {...props} />
      </>
    );
  return (
    <>
      {name}
      <div role="cell" class="number"><Value sample={sample} unit={point.unit} /></div>
      <div role="cell" class="device-state"><AlarmMark id={id} /> {shape === "medium" && <Over point={point} id={id} />} <Flags sample={sample} always /></div>
      <div role="cell" class="number"><Age sample={sample} /></div>
      {shape === "wide" && <div role="cell"><Sparkline id={id} /></div>}
      {shape === "wide" && <div role="cell" class="number"><Limits point={point} id={id} /></div>}
      <Actions {...props} />
    </>
  );
}

function AlarmMark({ id }: { id: string }) {
  const alarm = alarmByPoint.value.get(id);
  if (!alarm) return null;
  return (
    <a href={href("alarms")} title={alarm.warn_msg || alarm.kind} class={isUnacknowledged(alarm) ? "device-ringing" : ""}>
      <Priority priority={alarm.priority} />
    </a>
  );
}

function limitsText({ down_limit: low, up_limit: high }: Point): string {
  if (low !== null && high !== null) return `${valueText(low)} … ${valueText(high)}`;
  return low !== null ? `≥ ${valueText(low)}` : high !== null ? `≤ ${valueText(high)}` : "";
}

/** The limit that the value is beyond now; nothing when it is within. */
function Over({ point, id }: { point: Point; id: string }) {
  const sample = latestOf(id).value;
  const over = sample && beyond(point, sample.value);
  if (!over) return null;
  return (
    <span class="tag medium">
      <span aria-hidden="true">{over.side === "above" ? "▲" : "▼"}</span>
      {t(over.side, { limit: valueText(over.limit) })}
    </span>
  );
}

function Limits({ point, id }: { point: Point; id: string }) {
  const sample = latestOf(id).value;
  if (sample && beyond(point, sample.value)) return <Over point={point} id={id} />;
  const { low_low, high_high } = point;
  const outer = low_low !== null || high_high !== null ? t("extreme", { low: valueText(low_low), high: valueText(high_high) }) : "";
  const text = limitsText(point);
  return <span class="muted" title={[text, outer].filter(Boolean).join("; ") || undefined}>{text}</span>;
}

function Actions({ point, id, onCall, busy }: RowProps) {
  const name = point.name || point.item_id;
  return (
    <div role="cell" class="device-buttons">
      {onCall && may("operate") && (
        <button type="button" class="button small" disabled={busy} aria-label={`${t("call")}: ${name}`} onClick={() => onCall(point)}>
          {t("call")}
        </button>
      )}
      {point.writable && may("operate") && (
        <button type="button" class="button small" aria-label={`${t("control")}: ${name}`} onClick={() => openControl(id)}>
          {t("control")}
        </button>
      )}
      <a class="button small" href={href("trend", [], { items: id })} aria-label={`${t("trend")}: ${name}`}>{t("trend")}</a>
    </div>
  );
}
