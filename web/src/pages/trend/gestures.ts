// Wheel, pinch and drag by touch on the chart. A drag by mouse selects a span; that is uPlot's own.
import type uPlot from "uplot";
import { zoomed } from "./view";

const WHEEL = 1.3; // zoom of one step of the wheel

export type Move = (from: number, to: number) => void;

const range = (chart: uPlot): [number, number] => [chart.scales["x"]?.min ?? 0, chart.scales["x"]?.max ?? 1];

/** Calls `move` with the span to show. Returns what ends it. */
export function listen(chart: uPlot, move: Move): () => void {
  const { over } = chart;
  const wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaY) < Math.abs(event.deltaX)) return;
    event.preventDefault();
    const about = chart.posToVal(event.offsetX, "x");
    move(...zoomed(...range(chart), about, event.deltaY > 0 ? WHEEL : 1 / WHEEL));
  };
  const fingers = new Map<number, number>();
  const down = (event: PointerEvent): void => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, event.clientX);
    over.setPointerCapture(event.pointerId);
  };
  const drag = (event: PointerEvent): void => {
    const before = fingers.get(event.pointerId);
    if (before === undefined) return;
    const [from, to] = range(chart);
    const perPixel = (to - from) / Math.max(1, over.clientWidth);
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    fingers.set(event.pointerId, event.clientX);
    const other = others[0];
    if (other === undefined) {
      const shift = (before - event.clientX) * perPixel;
      if (shift) move(from + shift, to + shift);
      return;
    }
    const factor = Math.abs(before - other) / Math.max(10, Math.abs(event.clientX - other));
    const about = chart.posToVal((event.clientX + other) / 2 - over.getBoundingClientRect().left, "x");
    move(...zoomed(from, to, about, factor));
  };
  const up = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
  };
  over.addEventListener("wheel", wheel, { passive: false });
  over.addEventListener("pointerdown", down);
  over.addEventListener("pointermove", drag);
  over.addEventListener("pointerup", up);
  over.addEventListener("pointercancel", up);
  return () => {
    over.removeEventListener("wheel", wheel);
    over.removeEventListener("pointerdown", down);
    over.removeEventListener("pointermove", drag);
    over.removeEventListener("pointerup", up);
    over.removeEventListener("pointercancel", up);
  };
}
