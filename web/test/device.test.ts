import { describe, expect, it } from "vitest";
import type { DeviceStatus, Frame, Json, Point, Quality } from "../src/api/types";
import { errorKinds, lostValues, reconnects, roundTrip, unconfigured } from "../src/pages/device/facts-of";
import { asText, merged, MOST, selected, spaced, type Kept } from "../src/pages/device/frame-list";
import { beyond, isAbnormal, matches, sorted, type Column, type Seen } from "../src/pages/device/point-list";
import { sparkPath } from "../src/pages/device/spark-path";

const point = (item_id: string, more: Partial<Point> = {}): Point => ({
  device_id: "d",
  term_id: "t",
  item_id,
  protocol: "modbus_tcp",
  name: item_id,
  unit: "",
  protocol_code: "hr:1",
  code_type: null,
  coefficient: 1,
  base_val: 0,
  writable: false,
  down_limit: null,
  up_limit: null,
  low_low: null,
  high_high: null,
  ...more,
});

const at = (second: number, value: Json, quality: Quality = "good") => ({ time: new Date(second * 1000).toISOString(), value, quality });

const seen = (item: string, value?: Json, second = 0, quality: Quality = "good"): Seen => ({
  point: point(item),
  id: `d:t:${item}`,
  sample: value === undefined ? null : at(second, value, quality),
  alarm: undefined,
});

describe("points", () => {
  const order = (all: readonly Seen[], column: Column, descending = false): string[] =>
    sorted(all, { column, descending }).map(({ point: { item_id } }) => item_id);

  it("sort by name with numbers as numbers", () => {
    expect(order([seen("u10", 1), seen("u9", 1)], "name")).toEqual(["u9", "u10"]);
  });

  it("sort by value, those without one last in both directions", () => {
    const all = [seen("none"), seen("two", 2), seen("ten", 10), seen("on", true), seen("text", "a")];
    expect(order(all, "value")).toEqual(["on", "two", "ten", "text", "none"]);
    expect(order(all, "value", true)).toEqual(["text", "ten", "two", "on", "none"]);
  });

  it("sort by age, the youngest first", () => {
    expect(order([seen("old", 1, 5), seen("none"), seen("young", 1, 9)], "age")).toEqual(["young", "old", "none"]);
  });

  it("sort by state, good ones first", () => {
    const all = [seen("none"), seen("bad", 1, 0, ["invalid"]), seen("old", 1, 0, ["comm_lost"]), seen("good", 1)];
    expect(order(all, "state")).toEqual(["good", "old", "bad", "none"]);
  });

  it("are beyond a limit only past it, and the outermost counts", () => {
    const limited = point("p", { down_limit: 10, up_limit: 20, low_low: 0, high_high: 30 });
    expect(beyond(limited, 20)).toBeNull();
    expect(beyond(limited, 20.1)).toEqual({ side: "above", limit: 20 });
    expect(beyond(limited, 31)).toEqual({ side: "above", limit: 30 });
    expect(beyond(limited, 9)).toEqual({ side: "below", limit: 10 });
    expect(beyond(limited, -1)).toEqual({ side: "below", limit: 0 });
    expect(beyond(limited, "31")).toBeNull();
    expect(beyond(limited, null)).toBeNull();
  });

  it("are abnormal without a value, with a doubtful one, or beyond a limit", () => {
    expect(isAbnormal(seen("a"))).toBe(true);
    expect(isAbnormal(seen("a", 1))).toBe(false);
    expect(isAbnormal(seen("a", 1, 0, ["time_invalid"]))).toBe(false);
    expect(isAbnormal(seen("a", 1, 0, ["comm_lost"]))).toBe(true);
    expect(isAbnormal({ ...seen("a", 5), point: point("a", { up_limit: 4 }) })).toBe(true);
  });

  it("match when every word occurs in name, id or address", () => {
    const shown = point("ua", { name: "Voltage phase A" });
    expect(matches(shown, "")).toBe(true);
    expect(matches(shown, " phase VOLT ")).toBe(true);
    expect(matches(shown, "hr:1")).toBe(true);
    expect(matches(shown, "phase B")).toBe(false);
  });
});

describe("the sparkline", () => {
  it("goes from the oldest at the left to the newest at the right, the highest on top", () => {
    expect(sparkPath([at(0, 1), at(1, 3), at(2, 2)], 100, 20)).toBe("M0.0 20.0L50.0 0.0L100.0 10.0");
  });
  it("breaks at bad values and where there is none", () => {
    expect(sparkPath([at(0, 0), at(1, 9, ["invalid"]), at(2, 0), at(4, 1)], 100, 10)).toBe("M0.0 10.0M50.0 10.0L100.0 0.0");
  });
  it("shows states as steps, and what never changes in the middle", () => {
    expect(sparkPath([at(0, false), at(1, true)], 10, 10)).toBe("M0.0 10.0H10.0V0.0");
    expect(sparkPath([at(0, 5), at(1, 5)], 10, 10)).toBe("M0.0 5.0L10.0 5.0");
  });
  it("is empty with less than two numbers", () => {
    expect(sparkPath([], 10, 10)).toBe("");
    expect(sparkPath([at(0, "text"), at(1, 1)], 10, 10)).toBe("");
  });
});

describe("the status", () => {
  const status = (more: Partial<DeviceStatus>): DeviceStatus => ({
    device_id: "d",
    status: "on",
    link: { state: "connected", since: null, last_error: null },
    ...more,
  });

  it("tells the round trip in milliseconds for each protocol", () => {
    expect(roundTrip(status({ protocol: { round_trip_ms: 2, round_trip_smoothed_ms: 3 } }))).toBe(3);
    expect(roundTrip(status({ protocol: { link: { round_trip: 0.25 } } }))).toBe(250);
    expect(roundTrip(status({ protocol: { link: { round_trip: null } } }))).toBeNull();
    expect(roundTrip(status({}))).toBeNull();
  });

  it("counts connections after the first, and values that are gone", () => {
    expect(reconnects(status({ counters: { connects: 3 } }))).toBe(2);
    expect(reconnects(status({ counters: {} }))).toBe(0);
    expect(reconnects(status({}))).toBeNull();
    const accounting = { read: 10, stored: 5, unchanged: 1, rejected: 1, dropped: 2, pending: 1, held: 0 };
    expect(lostValues(status({ accounting }))).toBe(3);
    expect(unconfigured(status({ protocol: { values: { discovered: 4 } } }))).toBe(4);
  });

  it("names errors by kind, and no other counters", () => {
    const counters = {
      polls: 9, requests: 9, replies: 9, connects: 4, bytes_in: 5, clock_syncs: 1, command_terminated: 3, command_deactivations: 1,
      timeouts: 0, exception_2: 3, bad_unit: 3, garbage: 7, failed_polls: 1, link_t1: 2, command_negative: 1,
    };
    expect(errorKinds(status({ counters }))).toEqual([
      ["garbage", 7], ["bad_unit", 3], ["exception_2", 3], ["link_t1", 2], ["command_negative", 1], ["failed_polls", 1],
    ]);
  });
});

describe("frames", () => {
  const frame = (n: number): Frame => ({
    time: new Date(n).toISOString(),
    direction: n % 2 ? "sent" : "received",
    hex: n.toString(16).padStart(4, "0"),
    text: `Frame ${n}`,
  });
  const frames = (from: number, to: number): Frame[] => Array.from({ length: to - from }, (_, index) => frame(from + index));
  const texts = (kept: readonly Kept[]): string[] => kept.map(({ frame: { text } }) => text);

  it("that come twice are kept once", () => {
    const kept = merged(merged([], frames(0, 5)), frames(3, 8));
    expect(texts(kept)).toEqual(frames(0, 8).map(({ text }) => text));
    expect(kept.some(({ gap }) => gap)).toBe(false);
    expect(new Set(kept.map(({ key }) => key)).size).toBe(8);
  });

  it("that are all known change nothing", () => {
    const kept = merged([], frames(0, 5));
    expect(merged(kept, frames(2, 5))).toBe(kept);
    expect(merged(kept, [])).toBe(kept);
  });

  it("after a gap say so", () => {
    const kept = merged(merged([], frames(0, 3)), frames(5, 7));
    expect(kept.map(({ gap }) => gap)).toEqual([false, false, false, true, false]);
  });

  it("are kept up to a limit, the newest", () => {
    const kept = merged(merged([], frames(0, MOST)), frames(MOST - 1, MOST + 1));
    expect(kept).toHaveLength(MOST);
    expect(kept.at(-1)?.frame.text).toBe(`Frame ${MOST}`);
  });

  it("are found by words, by bytes with or without spaces, and by direction", () => {
    const kept = merged([], frames(9, 12));
    expect(texts(selected(kept, "FRAME 10", "all"))).toEqual(["Frame 10"]);
    expect(texts(selected(kept, "00 0b", "all"))).toEqual(["Frame 11"]);
    expect(texts(selected(kept, "", "sent"))).toEqual(["Frame 9", "Frame 11"]);
  });

  it("are saved a line each", () => {
    expect(asText(merged([], [frame(1)]))).toBe("1970-01-01T00:00:00.001Z\tsent\t0001\tFrame 1\n");
    expect(spaced("0a0bff")).toBe("0a 0b ff");
  });
});
