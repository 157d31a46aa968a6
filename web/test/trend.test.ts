import { describe, expect, it, vi } from "vitest";
import type uPlot from "uplot";
import { align } from "../src/pages/trend/align";
import { drawBackdrop } from "../src/pages/trend/draw";
import {
  badSpans,
  indexAt,
  insert,
  joined,
  placeOfBucket,
  placeOfSample,
  secondsOf,
  type Place,
} from "../src/pages/trend/samples";
import { assignAxes, formatView, isState, parseView, zoomed } from "../src/pages/trend/view";

const at = (second: number, value: number | boolean | string | null, quality: "good" | string[] = "good"): Place =>
  placeOfSample({ time: new Date(second * 1000).toISOString(), value, quality });

describe("samples", () => {
  it("keeps microseconds, which Date drops", () => {
    expect(secondsOf("1970-01-01T00:00:01.000250Z")).toBe(1.00025);
    expect(secondsOf("1970-01-01T00:00:01Z")).toBe(1);
  });

  it("draws nothing for a bad value and a state as 0 and 1", () => {
    expect(at(1, 5, ["comm_lost"])).toMatchObject({ y: null, bad: true, value: 5 });
    expect(at(1, 5, ["time_invalid"])).toMatchObject({ y: 5, bad: false });
    expect(at(1, true).y).toBe(1);
    expect(at(1, "open").y).toBeNull();
  });

  it("puts the only sample of a bucket at its own time", () => {
    const bucket = { time: "1970-01-01T00:00:00Z", min: 2, max: 2, mean: 2, count: 1, bad: 0, last: 2,
      last_time: "1970-01-01T00:00:07.5Z", quality: "good" as const };
    expect(placeOfBucket(bucket)).toMatchObject({ x: 7.5, y: 2 });
  });

  it("never hides a peak of a bucket", () => {
    const bucket = { time: "1970-01-01T00:00:00Z", min: -900, max: 4, mean: 1, count: 99, bad: 1, last: 3,
      last_time: "1970-01-01T00:00:07.5Z", quality: "good" as const };
    expect(placeOfBucket(bucket)).toMatchObject({ x: 0, y: 1, low: -900, high: 4, bad: true, count: 100 });
  });

  it("joins the past and the recent without doubles", () => {
    const found = joined([at(1, 1), at(2, 2), at(3, 3)], [at(2, 2), at(3, 3), at(4, 4)]);
    expect(found.map((place) => place.x)).toEqual([1, 2, 3, 4]);
  });

  it("inserts a late sample at its place, and one that is known not at all", () => {
    const places = [at(1, 1), at(3, 3)];
    expect(insert(places, at(2, 2))).toBe(true);
    expect(insert(places, at(2, 2))).toBe(false);
    expect(places.map((place) => place.x)).toEqual([1, 2, 3]);
  });

  it("finds the sample that held at a time", () => {
    const places = [at(1, 1), at(3, 3)];
    expect([0, 1, 2.9, 3, 9].map((x) => indexAt(places, x))).toEqual([-1, 0, 0, 1, 1]);
  });

  it("marks the time without good values, up to the next sample", () => {
    const places = [at(1, 1), at(2, 1, ["invalid"]), at(3, 1, ["invalid"]), at(5, 1), at(7, 1, ["comm_lost"])];
    expect(badSpans(places, 9)).toEqual([[2, 5], [7, 9]]);
  });
});

describe("align", () => {
  it("tells a gap (null) from a time at which an item says nothing (undefined)", () => {
    const [times, mean, , , other] = align([[at(1, 1), at(2, 1, ["invalid"])], [at(3, 7)]]);
    expect(times).toEqual([1, 2, 3]);
    expect(mean).toEqual([1, null, undefined]);
    expect(other).toEqual([undefined, undefined, 7]);
  });

  it("lets a value that still holds go on to the end, but not a bad one", () => {
    const [times, good, , , bad] = align([[at(1, 4)], [at(1, 4, ["stale"])]], [9, 9]);
    expect(times).toEqual([1, 9]);
    expect(good).toEqual([4, 4]);
    expect(bad).toEqual([null, null]);
  });

  it("goes on from a bucket with its newest value, not with its mean", () => {
    const place = { ...at(1, 8), y: 5, low: 2, high: 9, count: 30 };
    const [, mean, low, high] = align([[place]], [9]);
    expect([mean, low, high]).toEqual([[5, 8], [2, 8], [9, 8]]);
  });
});

describe("backdrop", () => {
  it("leaves out limits on an axis that the plot does not have yet", () => {
    vi.stubGlobal("devicePixelRatio", 1);
    const lines: string[] = [];
    const ctx = new Proxy({}, { get: (_, name) => () => lines.push(String(name)), set: () => true });
    const scales: Record<string, unknown> = { x: {}, y0: {} };
    const valToPos = (value: number, scale: string): number => {
      if (!(scale in scales)) throw new Error(`no scale ${scale}`);
      return value;
    };
    const chart = { ctx, bbox: { left: 0, top: 0, width: 9, height: 9 }, scales, valToPos } as unknown as uPlot;
    const limits = { scale: "y3", low: 1, high: 2, lowLow: null, highHigh: null };
    const backdrop = { limits, bad: [], colors: { warn: "", alarm: "", bad: "" } };
    drawBackdrop(chart, backdrop);
    expect(lines).not.toContain("stroke");
    drawBackdrop(chart, { ...backdrop, limits: { ...limits, scale: "y0" } });
    expect(lines).toContain("stroke");
  });
});

describe("view", () => {
  it("comes back from its address", () => {
    const text = "items=a:b:c,d:e:f&axes=,2&steps=1,&from=2026-01-01T00%3A00%3A00.000Z&to=2026-01-02T00%3A00%3A00.000Z&limits=a:b:c";
    const view = parseView(new URLSearchParams(text));
    expect(view.items).toEqual([{ id: "a:b:c", axis: null, step: true }, { id: "d:e:f", axis: 2, step: null }]);
    expect(view.live).toBe(0);
    expect(parseView(new URLSearchParams(formatView(view)))).toEqual(view);
  });

  it("is live by default and takes no nonsense", () => {
    const view = parseView(new URLSearchParams("items=<script>,a:b:c,a:b:c&live=-4&axes=9&from=x&to=y&limits=zz"));
    expect(view).toMatchObject({ live: 900, limits: "" });
    expect(view.items).toEqual([{ id: "a:b:c", axis: null, step: null }]);
  });

  it("takes eight items at most", () => {
    const ids = Array.from({ length: 12 }, (_, index) => `a:b:i${index}`).join(",");
    expect(parseView(new URLSearchParams({ items: ids })).items).toHaveLength(8);
  });

  it("gives each unit an axis of its own, four at most, beside those chosen", () => {
    const items = ["V", "A", "V", "kW", "Hz", "°C"].map((unit) => ({ axis: null, unit }));
    expect(assignAxes(items)).toEqual([0, 1, 0, 2, 3, 3]);
    expect(assignAxes([{ axis: 0, unit: "A" }, { axis: null, unit: "V" }])).toEqual([0, 1]);
  });

  it("zooms about the cursor and knows states", () => {
    expect(zoomed(0, 100, 25, 0.5)).toEqual([12.5, 62.5]);
    expect([isState("bool"), isState("M_DP_NA_1"), isState("float32"), isState(null)]).toEqual([true, true, false, false]);
  });
});
