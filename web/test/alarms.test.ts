import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Alarm } from "../src/api/types";
import { durationText, perform, requestOf } from "../src/pages/alarms/actions";
import { filterOf, matches } from "../src/pages/alarms/filter";
import { alarms } from "../src/state/plant";

// the live connection needs a browser
vi.mock("../src/live/socket", () => ({ subscribe: () => () => undefined }));

const alarm = (id: string, more: Partial<Alarm> = {}): Alarm => ({
  id, device_id: "d", term_id: "t", item_id: "i", kind: "high", state: "active_unacknowledged", active: true,
  priority: "high", raised: "2026-11-21T10:00:00Z", time: null, value: 1, quality: "good", limit: 0, warn_msg: "too hot",
  user: "", noted: null, note: "", until: null, ...more,
});
const shows = (query: string, one: Alarm, names = ""): boolean => matches(filterOf(new URLSearchParams(query)), one, names);

describe("filters", () => {
  test("shelved alarms are shown when they are asked for, and only then", () => {
    const shelved = alarm("a", { state: "shelved" });
    expect(shows("", shelved)).toBe(false);
    expect(shows("state=shelved", shelved)).toBe(true);
    expect(shows("state=all", shelved)).toBe(true);
    expect(shows("state=shelved", alarm("b"))).toBe(false);
  });

  test("an alarm whose condition has ended still counts as unacknowledged, not as active", () => {
    const gone = alarm("a", { state: "returned_unacknowledged", active: false });
    expect(shows("state=unacknowledged", gone)).toBe(true);
    expect(shows("state=active", gone)).toBe(false);
    expect(shows("state=returned", gone)).toBe(true);
  });

  test("every word must occur: in the message, the id, the note or the names", () => {
    expect(shows("text=HOT oil", alarm("d:t:i:high"), "Oil temperature")).toBe(true);
    expect(shows("text=hot water", alarm("d:t:i:high"), "Oil temperature")).toBe(false);
    expect(shows("priority=low", alarm("a"))).toBe(false);
    expect(shows("device=other", alarm("a"))).toBe(false);
  });

  test("an unknown state in an address that somebody typed shows what is shown without one", () => {
    expect(filterOf(new URLSearchParams("state=nonsense")).state).toBe("");
  });
});

test("a request names the alarm safely, and carries only what was given", () => {
  expect(requestOf(alarm("d:t:i:high"), { what: "ack", note: "" })).toEqual({
    method: "POST", path: "/api/v2/alarms/d%3At%3Ai%3Ahigh/ack", body: {},
  });
  expect(requestOf(alarm("a"), { what: "shelve", note: "work", seconds: 900 }).body).toEqual({ seconds: 900, note: "work" });
});

test("durations read short", () => {
  expect([1, 90, 900, 5400, 28_800, 604_800].map(durationText)).toEqual(["1 s", "90 s", "15 min", "90 min", "8 h", "7 d"]);
});

describe("handling several alarms", () => {
  const [a, b, c] = [alarm("a"), alarm("b"), alarm("c")];
  beforeEach(() => {
    alarms.value = new Map([a, b, c].map((one) => [one.id, one]));
    vi.stubGlobal("fetch", (path: string) => {
      if (path.includes("/b/"))
        return Promise.resolve(new Response(JSON.stringify({ detail: "alarm b is normal" }), { status: 409 }));
      const id = path.split("/").at(-2) ?? "";
      const after = alarm(id, { state: id === "a" ? "normal" : "active_acknowledged", user: "kim" });
      return Promise.resolve(new Response(JSON.stringify(after)));
    });
  });

  test("what fails is told with the server's words, and the rest goes on", async () => {
    const steps: number[] = [];
    const failed = await perform([a, b, c], { what: "ack", note: "" }, (done) => steps.push(done));
    expect(failed).toEqual([{ alarm: b, reason: "alarm b is normal" }]);
    expect(steps).toEqual([1, 2, 3]);
    expect([...alarms.value.keys()]).toEqual(["b", "c"]); // a is normal now, and gone
    expect(alarms.value.get("c")?.user).toBe("kim");
  });

  test("what the live connection told meanwhile is not overwritten by the older answer", async () => {
    const newer = alarm("c", { raised: "2026-11-21T11:00:00Z" });
    const working = perform([c], { what: "ack", note: "" });
    alarms.value = new Map([["c", newer]]);
    await working;
    expect(alarms.value.get("c")).toBe(newer);
  });
});
