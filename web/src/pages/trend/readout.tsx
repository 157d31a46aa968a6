// Legend and cursor read-out: every item with value, unit, quality and exact time.
import { translator } from "../../i18n/i18n";
import { exactText } from "../../state/time";
import { openControl } from "../../control/open";
import { may } from "../../state/session";
import type { Point } from "../../api/types";
import { valueText } from "../../ui/format";
import { QualityMark } from "../../ui/marks";
import { DASHES } from "./chart";
import { indexAt, type Place } from "./samples";
import { MOST_AXES, type Item } from "./view";
import { words } from "./words";

const t = translator(words);

export interface Shown {
  item: Item;
  point: Point | undefined;
  axis: number;
  step: boolean;
  places: readonly Place[];
}

interface ReadoutProps {
  shown: readonly Shown[];
  /** Epoch seconds; null: the newest. */
  cursor: number | null;
  change: (index: number, item: Item | null) => void;
}

export function Readout({ shown, cursor, change }: ReadoutProps) {
  return (
    <div class="scroll-x">
      <table class="trend-readout">
        <thead>
          <tr>
            <th>{t("item")}</th><th class="number">{t("value")}</th><th>{t("quality")}</th><th>{t("time")}</th>
            <th>{t("axis")}</th><th>{t("step")}</th><th><span class="hidden-text">{t("remove", { name: "" })}</span></th>
          </tr>
        </thead>
        <tbody>
          {shown.map((one, index) => <Row key={one.item.id} one={one} index={index} cursor={cursor} change={change} />)}
        </tbody>
      </table>
    </div>
  );
}

function Row({ one, index, cursor, change }: { one: Shown; index: number } & Pick<ReadoutProps, "cursor" | "change">) {
  const { item, point, places, axis, step } = one;
  const place = places[cursor === null ? places.length - 1 : indexAt(places, cursor)];
  const name = point?.name || item.id;
  return (
    <tr>
      <td>
        <span class="mark">
          <svg width="28" height="10" aria-hidden="true">
            <line x1="0" y1="5" x2="28" y2="5" stroke={`var(--trend-${index})`} stroke-width="2.5" stroke-dasharray={DASHES[index]?.join(" ")} />
          </svg>
          <span class="trend-name">{name}<br /><span class="muted mono">{item.id}</span></span>
        </span>
      </td>
      <td class="number trend-value">
        {place ? (
          <>
            <span class="value">{valueText(place.value)}{point?.unit && <span class="unit">{point.unit}</span>}</span>
            {place.count > 1 && place.low !== null && place.high !== null && (
              <div class="muted">{t("minMax", { low: valueText(place.low), high: valueText(place.high) })}</div>
            )}
          </>
        ) : "—"}
        {point?.writable && may("operate") && (
          <button type="button" class="button quiet small" aria-label={name} onClick={() => openControl(item.id)}>✎</button>
        )}
      </td>
      <td class="trend-quality">{place ? <QualityMark quality={place.quality} always /> : null}</td>
      <td class="trend-time">{place ? <time dateTime={place.time}>{exactText(place.time)}</time> : null}</td>
      <td>
        <select
          aria-label={`${t("axis")}: ${name}`}
          value={item.axis === null ? "" : String(axis)}
          onChange={(event) => {
            const { value } = event.currentTarget;
            change(index, { ...item, axis: value === "" ? null : Number(value) });
          }}
        >
          <option value="">{t("auto")}</option>
          {Array.from({ length: MOST_AXES }, (_, one) => <option key={one} value={String(one)}>{one + 1}</option>)}
        </select>
      </td>
      <td>
        <label class="check">
          <input
            type="checkbox"
            aria-label={`${t("step")}: ${name}`}
            checked={step}
            onChange={(event) => change(index, { ...item, step: event.currentTarget.checked })}
          />
          <span class="trend-step" aria-hidden="true">{t("step")}</span>
        </label>
      </td>
      <td>
        <button type="button" class="button quiet small" aria-label={t("remove", { name })} onClick={() => change(index, null)}>✕</button>
      </td>
    </tr>
  );
}
