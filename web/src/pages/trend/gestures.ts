// Wheel, pinch and drag by touch on the chart. A drag by mouse selects a span; that is uPlot's own.
import type uPlot from "uplot";
import { zoomed } from "./view";

const WHEEL = 1.3; // zoom of one step of the wheel

export type Move = (from: number, to: number) => void;

const range = (chart: uPlot): [number, number] => [chart.scales["x"]?.min ?? 0, chart.scales["x"]?.max ?? 1];

/** Calls `move` with the span to show. Returns what ends it. */
export function listen(chart: uPlot, show: Move): () => void {
  const { over } = chart;
  // Several events may come before the plot is drawn anew, each finger has its own: the next one goes on from what was
  // asked for last, not from what is still to be seen.
  let asked: { seen: [number, number]; span: [number, number] } | null = null;
  const current = (): [number, number] => {
    const seen = range(chart);
    if (asked?.seen[0] !== seen[0] || asked.seen[1] !== seen[1]) asked = null;
    return asked?.span ?? seen;
  };
  const move = (from: number, to: number): void => {
    asked = { seen: range(chart), span: [from, to] };
    show(from, to);
  };
  const timeAt = (left: number): number => {
    const [from, to] = current();
    return from + (left / Math.max(1, over.clientWidth)) * (to - from);
  };
  const wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaY) < Math.abs(event.deltaX)) return;
    event.preventDefault();
    const about = timeAt(event.offsetX);
    move(...zoomed(...current(), about, event.deltaY > 0 ? WHEEL : 1 / WHEEL));
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
    const [from, to] = current();
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
    const about = timeAt((event.clientX + other) / 2 - over.getBoundingClientRect().left);
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
