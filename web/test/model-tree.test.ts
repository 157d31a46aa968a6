import { describe, expect, it } from "vitest";
import type { Point } from "../src/api/types";
import { commonFields, planned } from "../src/pages/model/bulk";
import { bodyOf, nextIp, numbered, suggested } from "../src/pages/model/copies";
import type { FormField } from "../src/pages/model/schema";
import { branchesOf, rowsOf, type Tab, type TreeModel } from "../src/pages/model/tree";

const point = (device_id: string, term_id: string, item_id: string, name: string): Point =>
  ({ device_id, term_id, item_id, name, protocol_code: "hr:1" }) as Point;

const MODEL: TreeModel = {
  devices: new Map(["a", "b"].map((id) => [id, { id, name: `Device ${id}`, protocol: "modbus_tcp" }])),
  terms: new Map(["a.t", "b.t"].map((id) => [id, { id, name: "Relay", device_id: id[0] }])),
  items: new Map([["u", { id: "u", name: "Voltage", unit: "V" }]]),
  formulas: new Map([["sum", { id: "sum", formula: "p1 + p2" }]]),
  points: new Map([["a:a.t:u", point("a", "a.t", "u", "Voltage")], ["b:b.t:i", point("b", "b.t", "i", "Current")]]),
};
const BRANCHES = branchesOf(MODEL);
const rows = (tab: Tab, open: string[] = [], search = "") =>
  rowsOf(tab, MODEL, BRANCHES, new Set(open), search).map((row) => `${"  ".repeat(row.level - 1)}${row.id} ${row.open}`);

describe("the tree", () => {
  it("is folded in at first", () => {
    expect(rows("device")).toEqual(["device/a false", "device/b false"]);
  });

  it("shows what is folded out", () => {
    expect(rows("device", ["device/a", "term/a.t"])).toEqual([
      "device/a true", "  term/a.t true", "    term_item/a.t/u null", "device/b false",
    ]);
  });

  it("finds in all depths, with what is above", () => {
    expect(rows("device", [], "current")).toEqual(["device/b true", "  term/b.t true", "    term_item/b.t/i null"]);
    expect(rows("device", [], "relay b")).toEqual(["device/b true", "  term/b.t false"]);
    expect(rows("device", [], "nothing such")).toEqual([]);
  });

  it("lists items and formulas", () => {
    expect(rows("item")).toEqual(["item/u null"]);
    expect(rows("formula", [], "p2")).toEqual(["formula/sum null"]);
  });

  it("counts places among siblings", () => {
    expect(rowsOf("device", MODEL, BRANCHES, new Set(["device/a"]), "").map((row) => [row.place, row.siblings, row.parent])).toEqual([
      [1, 2, ""], [1, 1, "device/a"], [2, 2, ""],
    ]);
  });
});

const field = (name: string, type: FormField["type"], more: Partial<FormField> = {}): FormField => ({
  name, type, required: false, nullable: true, default: null, choices: [], help: "", example: "", unit: "",
  range: { min: null, max: null, above: false, below: false }, maxLength: null, pattern: null, ...more,
});

describe("many at once", () => {
  const FIELDS = [field("up_limit", "number"), field("coefficient", "number", { default: 1 })];
  const OBJECTS = new Map([
    ["t:a", { term_id: "t", item_id: "a", up_limit: 5, vendor: "x" }],
    ["t:b", { term_id: "t", item_id: "b", coefficient: 2 }],
  ]);

  it("changes what is different, and keeps the rest", () => {
    expect(planned(OBJECTS, FIELDS, { up_limit: "5" })).toEqual({
      faults: {},
      plan: [{
        key: "t:b", changes: [{ field: "up_limit", before: "", after: "5" }],
        body: { term_id: "t", item_id: "b", coefficient: 2, up_limit: 5 },
      }],
    });
  });

  it("sets back to the default", () => {
    expect(planned(OBJECTS, FIELDS, { coefficient: "" }).plan).toEqual([
      { key: "t:b", changes: [{ field: "coefficient", before: "2", after: "1" }], body: { term_id: "t", item_id: "b" } },
    ]);
  });

  it("refuses what does not fit the field", () => {
    expect(planned(OBJECTS, FIELDS, { up_limit: "much" }).faults).toHaveProperty("up_limit");
  });

  it("offers what all forms have in the same way, and no ids", () => {
    const others = [field("up_limit", "number"), field("coefficient", "text"), field("bit", "integer")];
    expect(commonFields([[...FIELDS, field("item_id", "text")], others]).map(({ name }) => name)).toEqual(["up_limit"]);
  });
});

describe("copies", () => {
  it("are numbered on", () => {
    expect(["pump1", "pump09", "p1-left", "pump"].map((name) => numbered(name, 1))).toEqual(["pump2", "pump10", "p2-left", "pump2"]);
  });

  it("take the next addresses of the same network only", () => {
    expect(nextIp("192.0.2.20", 3)).toBe("192.0.2.23");
    expect(nextIp("192.0.2.254", 1)).toBe("192.0.2.254");
    expect(nextIp("rtu.example", 1)).toBe("rtu.example");
  });

  it("pass over ids that exist, and send only what is filled in", () => {
    const copies = suggested({ id: "p1", name: "Pump 1", ip: "192.0.2.1", port: "502" }, 2, (id) => id === "p2");
    expect(copies.map(({ id }) => id)).toEqual(["p3", "p4"]);
    expect(bodyOf([{ id: " p3 ", name: "", ip: "192.0.2.3", port: "502" }, { id: "p4", name: "x", ip: "", port: "abc" }])).toEqual([
      { id: "p3", ip: "192.0.2.3", port: 502 }, { id: "p4", name: "x", port: "abc" },
    ]);
  });
});
