import type uPlot from "uplot";
import { describe, expect, it } from "vitest";
import { listen } from "../src/pages/trend/gestures";

/** A plot of 100 pixels and 100 seconds that is drawn when the test says so. */
function plot() {
  const over = Object.assign(new EventTarget(), {
    clientWidth: 100,
    getBoundingClientRect: () => ({ left: 0 }),
    setPointerCapture: () => undefined,
  });
  const chart = { over, scales: { x: { min: 0, max: 100 } } };
  let asked = [0, 100];
  listen(chart as unknown as uPlot, (from, to) => void (asked = [from, to]));
  const send = (type: string, fields: object): void => void over.dispatchEvent(Object.assign(new Event(type), fields));
  return {
    finger: (type: string, pointerId: number, clientX: number) => send(type, { pointerType: "touch", pointerId, clientX }),
    wheel: (deltaY: number, offsetX: number) => send("wheel", { deltaX: 0, deltaY, offsetX }),
    draw: () => void ([chart.scales.x.min, chart.scales.x.max] = asked as [number, number]),
    asked: () => asked.map((second) => Math.round(second * 1000) / 1000),
  };
}

describe("gestures on the plot", () => {
  it("shows half the time when two fingers are twice as far apart, however often it is drawn meanwhile", () => {
    for (const drawn of [false, true]) {
      const { finger, draw, asked } = plot();
      finger("pointerdown", 1, 40);
      finger("pointerdown", 2, 60);
      for (let step = 1; step <= 10; step++) {
        finger("pointermove", 1, 40 - step);
        finger("pointermove", 2, 60 + step);
        if (drawn) draw();
      }
      const [from = 0, to = 0] = asked();
      expect(to - from).toBeCloseTo(50, 5);
      expect((from + to) / 2).toBeCloseTo(50, 0);
    }
  });

  it("follows the finger, also when nothing is drawn between its steps", () => {
    const { finger, asked } = plot();
    finger("pointerdown", 1, 50);
    for (const x of [45, 40, 30]) finger("pointermove", 1, x);
    expect(asked()).toEqual([20, 120]);
  });

  it("counts every step of the wheel, about the place under the pointer", () => {
    const { wheel, draw, asked } = plot();
    wheel(-1, 100);
    wheel(-1, 100);
    expect(asked()).toEqual([40.828, 100]);
    draw();
    wheel(1, 100);
    expect(asked()).toEqual([23.077, 100]);
  });
});
