import { describe, expect, it } from "vitest";
import { differences, draftOf, extrasOf, objectOf, parsed, patchOf } from "../src/pages/model/draft";
import { markOf } from "../src/pages/model/place";
import type { FieldType, FormField } from "../src/pages/model/schema";

const field = (name: string, type: FieldType, more: Partial<FormField> = {}): FormField => ({
  name, type, required: false, nullable: true, default: null, choices: [], help: "", example: "", unit: "",
  range: { min: null, max: null, above: false, below: false }, maxLength: null, pattern: null, ...more,
});

const FIELDS = [
  field("id", "text", { required: true, pattern: "^[a-z0-9]+$" }),
  field("protocol", "const", { default: "modbus_tcp", required: true }),
  field("port", "integer", { range: { min: 1, max: 65535, above: false, below: false } }),
  field("timeout", "number", { default: 3, range: { min: 0, max: 3600, above: true, below: false } }),
  field("enabled", "boolean", { default: true }),
  field("clock", "any", { default: true }),
  field("order", "choice", { default: "big", choices: ["big", "little"] }),
];
const OBJECT = { id: "a", protocol: "modbus_tcp", port: 502, timeout: 3, enabled: false, clock: 60, status: "on", vendor: [1] };

describe("a draft", () => {
  it("leaves what has its default empty, so that the default stands as placeholder", () => {
    expect(draftOf(FIELDS, OBJECT)).toEqual({
      id: "a", protocol: "modbus_tcp", port: "502", timeout: "", enabled: "false", clock: "60", order: "",
    });
  });

  it("makes the object again, without what is left at its default", () => {
    expect(objectOf(FIELDS, draftOf(FIELDS, OBJECT))).toEqual({
      body: { id: "a", protocol: "modbus_tcp", port: 502, enabled: false, clock: 60 }, faults: {},
    });
  });

  it("says what is wrong with each field", () => {
    const { faults } = objectOf(FIELDS, { id: "A b", port: "70000", timeout: "0", order: "middle" });
    expect(faults).toEqual({
      id: { key: "badForm", limit: "" }, port: { key: "tooBig", limit: "65535" },
      timeout: { key: "notAbove", limit: "0" }, order: { key: "notChoice", limit: "" },
    });
    expect(objectOf(FIELDS, { id: "" }).faults["id"]?.key).toBe("required");
  });

  it.each(["", "1,5", "0x10", "1e999", "NaN", "five", "--1"])("takes %j for no number", (text) => {
    expect(parsed(field("x", "number"), text).fault?.key).toBe("notNumber");
  });

  it("keeps numbers as they are", () => {
    expect(parsed(field("x", "number"), " -1.5e3 ").value).toBe(-1500);
    expect(parsed(field("x", "integer"), "1.5").fault?.key).toBe("notWhole");
  });
});

describe("a patch", () => {
  it("names only what was changed, and null for what goes back to its default", () => {
    const draft = { ...draftOf(FIELDS, OBJECT), port: "", timeout: "5", enabled: "" };
    expect(patchOf(FIELDS, OBJECT, draft)).toEqual({ body: { port: null, timeout: 5, enabled: null }, faults: {} });
  });

  it("is empty when nothing was changed, also when the object has what its form would refuse", () => {
    const old = { ...OBJECT, id: "Not Allowed" };
    expect(patchOf(FIELDS, old, draftOf(FIELDS, old))).toEqual({ body: {}, faults: {} });
  });

  it("adds, changes and removes parameters of formulas", () => {
    const formula = { id: "a", protocol: "modbus_tcp", p1: "d:t:a", p2: "d:t:b", p3: "d:t:c" };
    const draft = { ...draftOf(FIELDS, formula), p1: "", p2: "d:t:x", p4: "d:t:d" };
    expect(patchOf(FIELDS, formula, draft).body).toEqual({ p1: null, p2: "d:t:x", p4: "d:t:d" });
  });

  it("leaves unknown fields alone", () => {
    expect(extrasOf(FIELDS, OBJECT)).toEqual({ vendor: [1] });
    expect(patchOf(FIELDS, OBJECT, { ...draftOf(FIELDS, OBJECT), port: "1" }).body).not.toHaveProperty("vendor");
  });
});

describe("changes of somebody else", () => {
  it("are told by field, without what is only its state", () => {
    const now = { ...OBJECT, port: 503, status: "off", vendor: [1], name: "new" };
    expect(differences(OBJECT, now)).toEqual([
      { field: "port", opened: 502, now: 503 }, { field: "name", opened: undefined, now: "new" },
    ]);
  });
});

describe("the place of a mistake", () => {
  it("is marked in its line", () => {
    expect(markOf("p1 +\np2 + bad(3", "line 2, column 6: unknown")).toEqual({ line: 2, before: "p2 + ", at: "b", after: "ad(3" });
  });

  it("may be behind the end, and counts characters, not code units", () => {
    expect(markOf("p1 +", "line 1, column 5: ends")).toEqual({ line: 1, before: "p1 +", at: " ", after: "" });
    expect(markOf("'😀' x", "line 1, column 5: x")).toMatchObject({ before: "'😀' ", at: "x" });
  });

  it("is nowhere when the message names none", () => {
    expect(markOf("p1", "p1: term_item not found!")).toBeNull();
  });
});
