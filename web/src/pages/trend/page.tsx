// Trend: up to eight points on four axes, live or as archived.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { language, translator } from "../../i18n/i18n";
import { frozen } from "../../live/socket";
import { setQuery } from "../../routes";
import { points } from "../../state/plant";
import { hasArchive } from "../../state/session";
import { copyText, saveText } from "../../ui/copy";
import { CurlButton } from "../../ui/curl";
import { ProblemNotice } from "../../ui/loading";
import { NoArchive } from "../../ui/no-archive";
import { toast } from "../../ui/toast";
import type { PageProps } from "../pages";
import { align } from "./align";
import { Chart, type Line } from "./chart";
import { csvOf } from "./csv";
import { historyPath, recentPath } from "./load";
import "./page.css";
import { Picker } from "./picker";
import { Readout, type Shown } from "./readout";
import { badSpans, indexAt } from "./samples";
import { Toolbar } from "./toolbar";
import { useSeries } from "./use-series";
import { assignAxes, formatView, isState, parseView, zoomed, type View } from "./view";
import { words } from "./words";

const t = translator(words);

export default function TrendPage({ route }: PageProps) {
  const view = useMemo(() => parseView(route.query), [route]);
  const [picking, setPicking] = useState(false);
  const [cursor, setCursor] = useState<number | null>(null);
  const [width, setWidth] = useState(800);
  const area = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (area.current) setWidth(area.current.clientWidth);
  }, []);
  const series = useSeries(view, width);
  const change = (next: Partial<View>): void => setQuery(formatView({ ...view, ...next }));
  const { span } = series;

  const known = view.items.map(({ id }) => points.value.get(id));
  const axes = assignAxes(view.items.map(({ axis }, index) => ({ axis, unit: known[index]?.unit ?? "" })));
  const shown: Shown[] = view.items.map((item, index) => ({
    item,
    point: known[index],
    axis: axes[index] ?? 0,
    step: item.step ?? (isState(known[index]?.code_type ?? null) || hasStates(series.places[index])),
    places: series.places[index] ?? [],
  }));
  const lines: Line[] = shown.map(({ item, point, axis, step }) => ({
    label: point?.name || item.id,
    unit: point?.unit ?? "",
    axis,
    step,
  }));
  const holds = view.live && frozen.value ? undefined : series.until; // a value that did not change still holds
  const data = align(series.places, series.places.map(() => holds));
  const limited = shown.find(({ item }) => item.id === view.limits);
  const backdrop = {
    limits: limited?.point
      ? {
          scale: `y${limited.axis}`,
          low: limited.point.down_limit,
          high: limited.point.up_limit,
          lowLow: limited.point.low_low,
          highHigh: limited.point.high_high,
        }
      : null,
    bad: shown.map(({ places }) => badSpans(places, span.to)),
  };

  const moveCursor = (step: number): void => {
    const times = data[0];
    const at = cursor === null ? times.length - 1 : times.findLastIndex((time) => time <= cursor + 1e-6);
    setCursor(times[Math.max(0, Math.min(times.length - 1, at + step))] ?? null);
  };
  const onKey = (event: KeyboardEvent): void => {
    const middle = (span.from + span.to) / 2;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => moveCursor(-1),
      ArrowRight: () => moveCursor(1),
      "+": () => onSpan(...zoomed(span.from, span.to, cursor ?? middle, 0.5)),
      "-": () => onSpan(...zoomed(span.from, span.to, cursor ?? middle, 2)),
      Escape: () => setCursor(null),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  const onSpan = (from: number, to: number): void => {
    if (to - from >= 0.01) change({ live: 0, from, to });
  };

  return (
    <>
      <div class="row spread">
        <h1>{t("title")}</h1>
        <div class="row">
          <button type="button" class="button primary" onClick={() => setPicking(true)}>{t("add")}</button>
          <button type="button" class="button" onClick={() => void copyText(location.href).then(() => toast(t("copied")))}>{t("share")}</button>
        </div>
      </div>
      <Toolbar view={view} span={span} change={change} />
      <ProblemNotice problem={series.problem} retry={series.reload} />
      {view.items.length > 0 && !hasArchive.value && <NoArchive meaning={t("recentOnly")} />}
      {series.noArchive && view.items.length > 0 && <p class="notice">{t("noArchive", { detail: series.noArchive })}</p>}
      <div class="card trend-area" ref={area} aria-busy={series.reading}>
        {view.items.length ? (
          <Chart
            label={t("chart", { names: lines.map((line) => line.label).join(", ") })}
            lines={lines}
            data={data}
            from={span.from}
            to={span.to}
            backdrop={backdrop}
            onSpan={onSpan}
            onCursor={setCursor}
            onKey={onKey}
            cursor={cursor}
          />
        ) : (
          <p class="muted">{t("none")}</p>
        )}
        {series.reading && <span class="trend-reading muted" role="status">{t("loading")}</span>}
      </div>
      {view.items.length > 0 && (
        <>
          <Readout
            shown={shown}
            cursor={cursor}
            change={(index, item) =>
              change({ items: view.items.flatMap((one, at) => (at === index ? (item ? [item] : []) : [one])) })
            }
          />
          <div class="row">
            <label class="check">
              {t("limits")}
              <select value={view.limits} onChange={(event) => change({ limits: event.currentTarget.value })}>
                <option value="">{t("noLimits")}</option>
                {shown.map(({ item, point }) => <option key={item.id} value={item.id}>{point?.name || item.id}</option>)}
              </select>
            </label>
            <button
              type="button"
              class="button"
              onClick={() => saveText("trend.csv", csvOf(shown.map(({ item, places }) => ({ id: item.id, places })), span.from, span.to), "text/csv")}
            >
              {t("csv")}
            </button>
            <CurlButton request={() => ({ method: "GET", path: (hasArchive.value ? historyPath : recentPath)(view.items[0]?.id ?? "", span) })} />
            <span class="muted" lang={language.value}>
              {t("samples", { count: shown.reduce((sum, { places }) => sum + samplesIn(places, span.from, span.to), 0) })}
            </span>
          </div>
        </>
      )}
      {picking && (
        <Picker
          chosen={view.items.map((item) => item.id)}
          choose={(ids) => change({ items: ids.map((id) => view.items.find((item) => item.id === id) ?? { id, axis: null, step: null }) })}
          onClose={() => setPicking(false)}
        />
      )}
    </>
  );
}

/** Coils and single bits have no type of their own, but values that are true or false. */
function hasStates(places: Shown["places"] = []): boolean {
  return typeof places.at(-1)?.value === "boolean";
}

function samplesIn(places: Shown["places"], from: number, to: number): number {
  let sum = 0;
  for (let index = Math.max(0, indexAt(places, from)); index < places.length; index++) {
    const place = places[index];
    if (place && place.x >= from && place.x <= to) sum += place.count;
  }
  return sum;
}
