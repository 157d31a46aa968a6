import { describe, expect, it } from "vitest";
import type { Alarm, Device, DeviceOverview } from "../src/api/types";
import { hold, inOrder, matching, PATIENCE, tileOf, type Tile } from "../src/pages/overview/tiles";

const device = (id: string, state = "connected", enabled = true): Device => ({
  id,
  name: `Device ${id}`,
  protocol: "modbus_tcp",
  enabled,
  description: "",
  status: state === "connected" ? "on" : "off",
  link: { state, since: null, last_error: null },
});

const counts = (device_id: string, bad: number, stale: number): DeviceOverview => ({
  ...device(device_id),
  device_id,
  points: 10,
  bad,
  stale,
  alarms_active: 0,
  alarms_unacknowledged: 0,
  worst_priority: null,
  values_per_second: 5,
});

const alarm = (state: string, priority: string): Alarm => ({
  id: `${state}/${priority}`,
  device_id: "d",
  term_id: "t",
  item_id: "i",
  kind: "limit",
  state,
  active: true,
  priority,
  raised: null,
  time: null,
  value: 1,
  quality: "good",
  limit: null,
  warn_msg: "",
  user: "",
  noted: null,
  note: "",
  until: null,
});

const order = (tiles: readonly Tile[]): string[] => inOrder(tiles, new Map()).map(({ id }) => id);

describe("tiles", () => {
  it("stand worst first: lost, unacknowledged by priority, active, bad, stale, normal, out of service", () => {
    const tiles = [
      tileOf(device("off", "disabled", false), counts("off", 0, 10), [], 10),
      tileOf(device("normal"), counts("normal", 0, 0), [], 10),
      tileOf(device("stale"), counts("stale", 0, 1), [], 10),
      tileOf(device("bad"), counts("bad", 1, 9), [], 10),
      tileOf(device("active"), undefined, [alarm("active_acknowledged", "critical")], 10),
      tileOf(device("low"), undefined, [alarm("active_unacknowledged", "low")], 10),
      tileOf(device("critical"), undefined, [alarm("returned_unacknowledged", "critical"), alarm("active_unacknowledged", "low")], 10),
      tileOf(device("lost", "backoff"), counts("lost", 0, 10), [], 10),
    ];
    expect(order(tiles)).toEqual(["lost", "critical", "low", "active", "bad", "stale", "normal", "off"]);
  });

  it("count a calculated device as normal, and one without a manager as lost", () => {
    expect(tileOf(device("a", "virtual"), undefined, [], 10).rank).toBe(0);
    expect(tileOf(device("a", "no_manager"), undefined, [], 10).rank).toBeGreaterThan(0);
    expect(tileOf(device("a", "no_manager", false), undefined, [], 10).rank).toBeLessThan(0);
  });

  it("do not count shelved alarms", () => {
    expect(tileOf(device("a"), undefined, [alarm("shelved", "critical")], 10).rank).toBe(0);
  });

  it("name the worst priority that nobody has acknowledged", () => {
    const tile = tileOf(device("a"), undefined, [alarm("active_acknowledged", "critical"), alarm("active_unacknowledged", "medium")], 10);
    expect(tile).toMatchObject({ priority: "medium", unacknowledged: 1, active: 2 });
  });

  it("sort equal ones by name, numbers as numbers", () => {
    expect(order(["f10", "f9", "f1"].map((id) => tileOf(device(id), undefined, [], 10)))).toEqual(["f1", "f9", "f10"]);
  });

  it("move up at once and down only when they stay better", () => {
    const good = tileOf(device("a"), counts("a", 0, 0), [], 10);
    const bad = tileOf(device("a"), counts("a", 1, 0), [], 10);
    const other = tileOf(device("b"), counts("b", 0, 1), [], 10);
    const start = hold(new Map(), [bad, other], 0);
    const early = hold(start, [good, other], PATIENCE - 1);
    expect(inOrder([good, other], early).map(({ id }) => id)).toEqual(["a", "b"]);
    const late = hold(early, [good, other], PATIENCE);
    expect(inOrder([good, other], late).map(({ id }) => id)).toEqual(["b", "a"]);
    const worse = hold(late, [bad, other], PATIENCE + 1);
    expect(inOrder([bad, other], worse).map(({ id }) => id)).toEqual(["a", "b"]);
  });

  it("are found by every word, and by being abnormal", () => {
    const tiles = [tileOf(device("feeder1"), undefined, [], 10), tileOf(device("pump1", "backoff"), undefined, [], 10)];
    expect(matching(tiles, "DEVICE pump", false).map(({ id }) => id)).toEqual(["pump1"]);
    expect(matching(tiles, "", true).map(({ id }) => id)).toEqual(["pump1"]);
    expect(matching(tiles, "feeder pump", false)).toEqual([]);
  });
});
