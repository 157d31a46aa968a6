import { describe, expect, it } from "vitest";
import { located } from "../src/pages/model/import/check";
import { columnsOf } from "../src/pages/model/import/columns";
import { linesOf, MalformedCsv, readCsv, writeCsv } from "../src/pages/model/import/csv";
import { applied, doubled, guessed } from "../src/pages/model/import/mapping";
import type { Schemas } from "../src/pages/model/schema";

describe("tables as text", () => {
  it("reads quotes, line breaks in cells, blank lines and short rows", () => {
    const table = readCsv('a,b,c\r\n1,"x, ""y""\nz",3\r\n\r\n4\r\n');
    expect(table).toEqual({ header: ["a", "b", "c"], rows: [["1", 'x, "y"\nz', "3"], ["4", "", ""]], numbers: [2, 4], delimiter: "," });
  });

  it.each([["a;b\n1,5;2", ";"], ["a\tb\n1\t2", "\t"], ["sep=;\na;b,c\n1;2", ";"], ['"a";"b"\n"1";"2"', ";"], ["\uFEFFa,b\n1,2", ","]])(
    "recognises the delimiter of %j", (text, delimiter) => {
      const table = readCsv(text);
      expect(table.delimiter).toBe(delimiter);
      expect(table.header[0]).toBe("a");
      expect(table.rows[0]).toHaveLength(2);
    });

  it("prefers the delimiter that gives known columns", () => {
    expect(readCsv("x, y, z;device_id\n1;2", (name) => name === "device_id").delimiter).toBe(";");
  });

  it.each(["", "  \n ", 'a,"b\n1,2', 'a,"b"c\n'])("refuses %j", (text) => {
    expect(() => readCsv(text)).toThrow(MalformedCsv);
  });

  it("keeps a last empty cell", () => {
    expect(readCsv("a,b\n1,").rows).toEqual([["1", ""]]);
  });

  it("writes what it reads", () => {
    const header = ["a", "b;c"];
    const rows = [['say "hi"', "two\r\nlines"], ["", "x\ty"], ["'=1", " blank "]];
    expect(readCsv(writeCsv(header, rows))).toEqual({ header, rows, numbers: [2, 3, 4], delimiter: "," });
  });

  it("knows the lines in which rows begin", () => {
    expect(linesOf(["a"], [["1"], ["x\ny\r\nz"], ["2"]])).toEqual([2, 3, 6]);
  });
});

const id = { type: "string" };
const SCHEMAS: Schemas = {
  Device_modbus_tcpInput: {
    properties: { id, name: id, protocol: { const: "modbus_tcp" }, ip: id, poll_interval: { type: "number" }, timeout: { type: "number" } },
  },
  Term_commonInput: { properties: { id, name: id, device_id: id, address: { type: "integer" } } },
  ItemInput: { properties: { id, name: id, unit: id } },
  TermItem_commonInput: { properties: { term_id: id, item_id: id, protocol_code: id, poll_interval: { type: "number" }, protocol: id } },
  FormulaInput: { properties: { id, formula: id, device_id: id, term_id: id, item_id: id } },
};
const COLUMNS = columnsOf(SCHEMAS);

describe("columns", () => {
  it("have the names that the server gives them", () => {
    expect(COLUMNS.map(({ name }) => name)).toEqual([
      "device_id", "device_name", "protocol", "ip", "device_poll_interval", "device_timeout",
      "term_id", "term_name", "term_address", "item_id", "item_name", "unit",
      "protocol_code", "poll_interval", "point_protocol", "formula_id", "formula",
    ]);
  });
});

describe("a mapping", () => {
  it("is guessed by name, by what people call it, and by the field's own name", () => {
    expect(guessed(["Device ID", "IOA", "unit-id", "Name", "timeout", "Colour", "p1", ""], COLUMNS)).toEqual([
      "device_id", "protocol_code", "term_address", "item_name", "device_timeout", "", "p1", "",
    ]);
  });

  it("gives no column twice", () => {
    expect(guessed(["address", "protocol_code", "item_id", "Item-ID"], COLUMNS)).toEqual(["", "protocol_code", "item_id", ""]);
    expect(doubled(["unit", "", "unit", ""])).toEqual(["unit"]);
  });

  it("renames, leaves out and adds columns", () => {
    const mapped = applied([["1", "x", "2"]], ["item_id", "", "protocol_code"], { device_id: "d1", item_id: "no" });
    expect(mapped).toEqual({ header: ["item_id", "protocol_code", "device_id"], rows: [["1", "2", "d1"]], places: [0, 2] });
  });
});

describe("errors of an import", () => {
  it("stand at their cells, at their row, or at the document", () => {
    const problem = (row: number, column: string, message: string) => ({ row, column, field: column, message });
    const { cells, others } = located(
      [problem(2, "ip", "bad"), problem(2, "ip", "worse"), problem(5, "name", "is required"), problem(5, "", "too wide"), problem(1, "foo", "unknown column")],
      [2, 5], ["device_id", "ip"],
    );
    expect(Object.fromEntries([...cells].map(([row, found]) => [row, Object.fromEntries(found)]))).toEqual({
      0: { ip: "bad; worse" }, 1: { "": "name: is required; too wide" },
    });
    expect(others.map(({ message }) => message)).toEqual(["unknown column"]);
  });
});
