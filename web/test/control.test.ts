import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Device, Point, TermItem } from "../src/api/types";
import { knowledgeOf, mayRepeat, requestOf } from "../src/control/command";
import { check, isNarrow, rangeOf } from "../src/control/range";
import { reasonsAgainst } from "../src/control/reasons";
import { cancel, cancelRequest, countdown, remaining, select, selectRequest } from "../src/control/selection";

const item = (more: Partial<TermItem>): TermItem => ({
  term_id: "t", item_id: "i", protocol_code: "hr:0", coefficient: 1, base_val: 0, writable: true, ...more,
});

describe("ranges", () => {
  test("an integer register: its bounds and steps are scaled as the value is", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "int16", coefficient: 0.1, base_val: 20 }));
    expect(range.min).toBeCloseTo(-3256.8);
    expect(range.max).toBeCloseTo(3296.7);
    expect(check(range, "20.3")).toEqual({ value: 20.3, fault: "" });
    expect(check(range, "20.35").fault).toBe("step");
    expect(check(range, "3296.7").fault).toBe("");
    expect(check(range, "3296.8").fault).toBe("high");
    expect(check(range, "-3256.9").fault).toBe("low");
  });

  test("a negative coefficient turns the range round", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "uint16", coefficient: -0.5 }));
    expect([range.min, range.max]).toEqual([-32767.5, 0]);
    expect(check(range, "0.5").fault).toBe("high");
  });

  test("registers without a type are uint16, coils and single bits are bool", () => {
    expect(rangeOf("modbus_tcp", item({}))).toMatchObject({ kind: "integer", min: 0, max: 65535 });
    expect(rangeOf("modbus_tcp", item({ protocol_code: "co:5" })).kind).toBe("bool");
    expect(rangeOf("modbus_tcp", item({ protocol_code: "0x6" })).kind).toBe("bool");
    expect(rangeOf("modbus_tcp", item({ bit: 3 })).kind).toBe("bool");
  });

  test("64 bits are checked and sent without losing a digit", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "uint64" }));
    expect(check(range, "18446744073709551615")).toEqual({ value: "18446744073709551615", fault: "" });
    expect(check(range, "18446744073709551616").fault).toBe("high");
    expect(check(range, "-1").fault).toBe("low");
    expect(check(rangeOf("modbus_tcp", item({ code_type: "int64" })), "-9223372036854775809").fault).toBe("low");
    expect(check(range, "12")).toEqual({ value: 12, fault: "" });
  });

  test("floating point has no range worth showing, and refuses what 32 bits cannot hold", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "float32" }));
    expect(isNarrow(range)).toBe(false);
    expect(check(range, "1.5e3")).toEqual({ value: 1500, fault: "" });
    expect(check(range, "4e38").fault).toBe("high");
    expect(check(rangeOf("modbus_tcp", item({ code_type: "float64" })), "1e400").fault).toBe("number");
  });

  test("what is no number is refused as such: commas, blanks, hexadecimal, NaN", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "float32" }));
    for (const text of ["1,5", "1 000", "0x10", "NaN", "Infinity", "-", "1e"]) expect(check(range, text).fault).toBe("number");
    expect(check(range, " ").fault).toBe("empty");
  });

  test("a text counts its bytes, not its characters", () => {
    const range = rangeOf("modbus_tcp", item({ code_type: "string", length: 6 }));
    expect(check(range, "电压").fault).toBe("");
    expect(check(range, "电压1").fault).toBe("long");
  });

  test("IEC 104: the command follows from the type, by name or number; command_type comes first", () => {
    const kind = (more: Partial<TermItem>) => rangeOf("iec104", item({ protocol_code: "1", ...more })).kind;
    expect(kind({ code_type: "M_SP_TB_1" })).toBe("bool");
    expect(kind({ code_type: "31" })).toBe("double");
    expect(kind({ code_type: "M_ST_NA_1" })).toBe("step");
    expect(kind({ code_type: "C_SC_NA_1" })).toBe("bool");
    expect(kind({ code_type: "M_SP_NA_1", command_type: "C_DC_NA_1" })).toBe("double");
    expect(kind({ code_type: "X_YZ_1" })).toBe("any");
  });

  test("IEC 104 set-points: normalized ends one step below 1, scaled is whole", () => {
    const normalized = rangeOf("iec104", item({ code_type: "M_ME_TD_1", coefficient: 100 }));
    expect(normalized.min).toBe(-100);
    expect(check(normalized, "99.996").fault).toBe("");
    expect(check(normalized, "100").fault).toBe("high");
    const scaled = rangeOf("iec104", item({ code_type: "35" }));
    expect(check(scaled, "1.5").fault).toBe("step");
    expect(check(scaled, "40000").fault).toBe("high");
    expect(rangeOf("iec104", item({ code_type: "M_BO_NA_1" }))).toMatchObject({ selectable: false, max: 4294967295 });
  });

  test("a double command has the states 1 and 2 and no other", () => {
    const range = rangeOf("iec104", item({ code_type: "M_DP_TB_1" }));
    expect(check(range, "2")).toEqual({ value: 2, fault: "" });
    for (const text of ["0", "3", ""]) expect(check(range, text).fault).toBe("choose");
  });
});

describe("reasons against a control", () => {
  const device = { id: "d", enabled: true, link: { state: "connected", since: null, last_error: null } } as unknown as Device;
  const point = { protocol: "modbus_tcp", protocol_code: "hr:1", writable: true } as unknown as Point;
  const fine = { point, device, quality: "good" as const, frozen: false, mayOperate: true };

  test("none when all is well, also for a command that has no value of its own", () => {
    expect(reasonsAgainst(fine)).toEqual([]);
    expect(reasonsAgainst({ ...fine, quality: null })).toEqual([]);
    expect(reasonsAgainst({ ...fine, quality: ["time_invalid"] })).toEqual([]);
    expect(reasonsAgainst({ ...fine, quality: ["out_of_range"] })).toEqual([]); // a set-point brings it back
    expect(reasonsAgainst({ ...fine, quality: ["invalid"] })).toEqual([]); // and so may a write
  });

  test("each obstacle is named, all of them together", () => {
    expect(reasonsAgainst({ ...fine, point: undefined })).toEqual(["unknown"]);
    expect(reasonsAgainst({ ...fine, mayOperate: false, frozen: true })).toEqual(["scope", "frozen"]);
    expect(reasonsAgainst({ ...fine, point: { ...point, writable: false } })).toEqual(["readOnly"]);
    expect(reasonsAgainst({ ...fine, device: { ...device, enabled: false } })).toEqual(["disabled"]);
    expect(
      reasonsAgainst({ ...fine, device: { ...device, link: { ...device.link, state: "backoff" } }, quality: ["comm_lost"] }),
    ).toEqual(["link", "stale"]);
  });
});

test("a command carries its key, and only what was chosen", () => {
  const request = requestOf({ id: "d:t:i", value: 5, mode: "", verify: true, expiresIn: 10, reason: "", selectionId: "", key: "k" });
  expect(request.headers).toEqual({ "Idempotency-Key": "k" });
  expect(request.body).toEqual({ device_id: "d", term_id: "t", item_id: "i", value: 5, verify: true, expires_in: 10 });
});

test("what is known after a failure", () => {
  expect([0, 409, 422, 502, 503, 504, 500].map((status) => knowledgeOf(status))).toEqual([
    "lost", "refused", "refused", "device", "notExecuted", "unknown", "unknown",
  ]);
  expect([0, 503, 504].every((status) => mayRepeat(status))).toBe(true);
  expect([409, 422, 502].some((status) => mayRepeat(status))).toBe(false);
  // a repeat while the first try is under way elsewhere: nothing was refused, nobody knows
  expect(knowledgeOf(409, true)).toBe("unknown");
  expect(mayRepeat(409, true)).toBe(true);
});

describe("select before operate in two steps", () => {
  const command = { id: "d:t:i", value: 2, mode: "select", verify: false, expiresIn: 20, reason: "why", selectionId: "", key: "k" } as const;
  const answer = { device_id: "d", term_id: "t", item_id: "i", value: 2, selection_id: "s1", expires: "2026-01-01T00:00:20Z", seconds: 20 };
  const base = Date.parse("2026-01-01T00:00:00Z");
  const asked: [string, RequestInit][] = [];
  const answering = (body: unknown, status = 200): void =>
    void vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
      asked.push([path, init]);
      return Promise.resolve(new Response(JSON.stringify(body), { status }));
    });
  beforeEach(() => void asked.splice(0));
  afterEach(() => void vi.unstubAllGlobals());

  test("the select says what will be executed; the execute names the selection", () => {
    expect(selectRequest(command)).toMatchObject({
      path: "/api/v2/device_select",
      body: { device_id: "d", term_id: "t", item_id: "i", value: 2, expires_in: 20, reason: "why" },
    });
    expect(requestOf({ ...command, selectionId: "s1" }).body).toMatchObject({ value: 2, mode: "select", selection_id: "s1" });
    expect(requestOf(command).body).not.toHaveProperty("selection_id");
  });

  test("the countdown runs to the time of expiry, or its whole length when the clocks do not agree", () => {
    expect(remaining(answer, base + 500)).toBe(19.5);
    expect(remaining(answer, base - 3_600_000)).toBe(20);
    expect(remaining(answer, base + 3_600_000)).toBe(20);
    expect([countdown(5000, 0), countdown(5000, 4001), countdown(5000, 5000), countdown(5000, 9000)]).toEqual([5, 1, 0, 0]);
  });

  test("what the device holds is known by its id, and a refusal by its problem", async () => {
    answering(answer);
    const { held } = await select(command, () => base + 2000);
    expect(held).toMatchObject({ id: "s1", seconds: 20 });
    expect((held?.until ?? 0) - performance.now()).toBeGreaterThan(17_000);
    answering({ detail: "the station refuses the select" }, 502);
    expect((await select(command, () => base)).problem).toMatchObject({ status: 502, message: "the station refuses the select" });
  });

  test("a lost answer is asked for once more under the key of the select, which is not that of the execute", async () => {
    const keys: unknown[] = [];
    const replies = [() => { throw new TypeError("network"); }, () => new Response(JSON.stringify(answer))];
    vi.stubGlobal("fetch", async (_: string, init: RequestInit) => {
      keys.push((init.headers as Record<string, string>)["Idempotency-Key"]);
      return replies[keys.length - 1]!();
    });
    const { held } = await select(command, () => base + 3_600_000);
    expect(held).toMatchObject({ id: "s1", seconds: 20 });
    expect((held?.until ?? 0) - performance.now()).toBeLessThanOrEqual(20_000);
    expect(keys).toEqual([`${command.key}.select`, `${command.key}.select`]);
    expect(requestOf(command).headers).toEqual({ "Idempotency-Key": command.key });
    vi.stubGlobal("fetch", async () => { throw new TypeError("network"); });
    expect((await select(command, () => base)).problem?.status).toBe(0);
  });

  test("giving up goes out even when the page is left, and what is over already is no problem", async () => {
    expect(cancelRequest("d:t:i", "s1")).toMatchObject({ path: "/api/v2/device_select/cancel", keepalive: true });
    answering({});
    expect(await cancel("d:t:i", "s1")).toBeNull();
    expect(asked[0]?.[1].keepalive).toBe(true);
    answering({ detail: "expired" }, 409);
    expect(await cancel("d:t:i", "s1")).toBeNull();
    answering({ detail: "no device manager" }, 503);
    expect((await cancel("d:t:i", "s1"))?.status).toBe(503);
  });
});
