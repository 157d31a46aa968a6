// The plot itself: uPlot made again when what is drawn changes in kind, fed with data otherwise.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clockText, timeText, zone } from "../../state/time";
import { theme } from "../../state/theme";
import { language } from "../../i18n/i18n";
import { colorOf, translucent } from "../../ui/color";
import { useMedia, useNarrow } from "../../ui/media";
import type { Aligned } from "./align";
import { drawBackdrop, type Backdrop } from "./draw";
import { listen } from "./gestures";
import { tickTexts } from "./ticks";

export interface Line {
  label: string;
  unit: string;
  axis: number;
  step: boolean;
}

interface ChartProps {
  label: string;
  lines: readonly Line[];
  data: Aligned;
  /** Epoch seconds. */
  from: number;
  to: number;
  backdrop: Omit<Backdrop, "colors">;
  /** Somebody wants to see this span. */
  onSpan: (from: number, to: number) => void;
  /** Time under the cursor; null when it left. */
  onCursor: (time: number | null) => void;
  /** Times of the samples, for the arrow keys. */
  onKey: (event: KeyboardEvent) => void;
  cursor: number | null;
}

/** Dashes of the eight lines, so that they can be told apart without colour. */
export const DASHES: readonly number[][] = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [14, 4], [1, 4], [6, 2, 1, 2, 1, 2]];

const HEIGHT = 420;

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const now = useRef(props);
  now.current = props;
  const few = useNarrow();
  const dark = useMedia("(prefers-color-scheme: dark)");
  const kind = JSON.stringify([props.lines, zone.value, theme.value, dark, language.value, few]);

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const made = new uPlot(options(element, now, few), props.data as uPlot.AlignedData, element);
    chart.current = made;
    made.setScale("x", { min: now.current.from, max: now.current.to });
    const stop = listen(made, (from, to) => now.current.onSpan(from, to));
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightOf(element) }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      stop();
      made.destroy();
      chart.current = null;
    };
  }, [kind]);

  useEffect(() => {
    chart.current?.batch(() => {
      chart.current?.setData(props.data as uPlot.AlignedData, false);
      chart.current?.setScale("x", { min: props.from, max: props.to });
    });
  }, [props.data, props.from, props.to, kind]);

  const limits = JSON.stringify(props.backdrop.limits);
  useEffect(() => chart.current?.redraw(true, true), [limits]);

  useEffect(() => {
    if (props.cursor === null || !chart.current) return;
    chart.current.setCursor({ left: chart.current.valToPos(props.cursor, "x"), top: 10 }, false);
  }, [props.cursor, props.from, props.to]);

  return (
    <div
      class="trend-chart"
      ref={host}
      role="img"
      tabIndex={0}
      aria-label={props.label}
      onKeyDown={(event) => props.onKey(event)}
    />
  );
}

const heightOf = (element: HTMLElement): number => Math.min(HEIGHT, Math.max(240, element.clientWidth * 0.6));

/** @param few whether there is room for the axes of two lines only; the read-out has all values. */
function options(element: HTMLElement, props: { current: ChartProps }, few: boolean): uPlot.Options {
  const { lines } = props.current;
  let mouse: MouseEvent | undefined; // the last one that was heard
  const axes = [...new Set(lines.map((line) => line.axis))].sort();
  const day = (seconds: number): string => timeText(seconds * 1000).slice(0, 10);
  const clock = (seconds: number): string => clockText(seconds * 1000);
  const text = colorOf("--text-2");
  const grid = { stroke: colorOf("--line"), width: 1 };
  const colors = { warn: colorOf("--high"), alarm: colorOf("--critical"), bad: colorOf("--bad") };
  const strokes = lines.map((_, index) => colorOf(`--trend-${index}`));
  return {
    width: element.clientWidth,
    height: heightOf(element),
    legend: { show: false },
    tzDate: (seconds) => (zone.value === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "UTC") : new Date(seconds * 1000)),
    cursor: { drag: { x: true, y: false, setScale: false }, y: false, points: { size: 7 } },
    scales: {
      x: { time: true, auto: false },
      ...Object.fromEntries(axes.map((axis) => [`y${axis}`, { auto: true, range: rangeWith(props) }])),
    },
    series: [{}, ...lines.flatMap((line, index) => seriesOf(line, strokes[index] ?? text, DASHES[index] ?? []))],
    bands: strokes.map((stroke, index) => ({
      series: [index * 3 + 3, index * 3 + 2] as [number, number],
      fill: translucent(stroke, 0.22),
    })),
    axes: [
      {
        stroke: text,
        grid,
        ticks: grid,
        size: 46,
        space: 70,
        values: (_, splits, __, ___, step) => tickTexts(splits, step, { day, clock }),
      },
      ...axes.map((axis, place): uPlot.Axis => {
        const units = [...new Set(lines.filter((line) => line.axis === axis).map((line) => line.unit))].filter(Boolean);
        return {
          scale: `y${axis}`,
          side: place % 2 ? 1 : 3,
          stroke: onlyOne(strokes.filter((_, index) => lines[index]?.axis === axis)) ?? text,
          grid: { ...grid, show: place === 0 },
          ticks: grid,
          show: !few || place < 2,
          label: few ? "" : units.join(", "),
          labelSize: units.length && !few ? 20 : 0,
          size: few ? 54 : 56,
          gap: few ? 2 : 5,
        };
      }),
    ],
    hooks: {
      drawClear: [
        (chart) => drawBackdrop(chart, { ...props.current.backdrop, colors }),
      ],
      setCursor: [
        (chart) => {
          // only what the mouse did: a picture that moves on must not take the cursor with it
          const { event } = chart.cursor;
          if (!event || event === mouse) return;
          mouse = event;
          const left = chart.cursor.left ?? -1;
          props.current.onCursor(left < 0 ? null : chart.posToVal(left, "x"));
        },
      ],
      setSelect: [
        (chart) => {
          const { left, width } = chart.select;
          if (width < 5) return;
          const span = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")] as const;
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          props.current.onSpan(...span);
        },
      ],
    },
  };
}

/** An axis has the colour of its line when it has one line only. */
const onlyOne = (strokes: readonly string[]): string | undefined => (strokes.length === 1 ? strokes[0] : undefined);

/** The range of an axis: its values, and the limits when they are shown. */
function rangeWith(props: { current: ChartProps }): uPlot.Range.Function {
  return (_, low, high, scale) => {
    const { limits } = props.current.backdrop;
    const shown = limits?.scale === scale ? [limits.low, limits.high, limits.lowLow, limits.highHigh] : [];
    const all = [low, high, ...shown].filter((value) => value !== null && Number.isFinite(value)) as number[];
    return all.length ? uPlot.rangeNum(Math.min(...all), Math.max(...all), 0.1, true) : [0, 1];
  };
}

function seriesOf(line: Line, stroke: string, dash: readonly number[]): uPlot.Series[] {
  const stepped = line.step ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  const common = { scale: `y${line.axis}`, spanGaps: false, ...(stepped ? { paths: stepped } : {}) };
  const edge = { ...common, stroke: translucent(stroke, 0.5), width: 0.5, points: { show: false } };
  return [
    { ...common, label: line.label, stroke, width: 1.75, dash: [...dash], points: { size: 5 } },
    { ...edge, label: `${line.label} min` },
    { ...edge, label: `${line.label} max` },
  ];
}
