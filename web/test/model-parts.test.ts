import { describe, expect, it, vi } from "vitest";
import { Problem } from "../src/api/client";
import { curlOf } from "../src/api/curl";
import { touched } from "../src/pages/model/draft";
import { groupsOf } from "../src/pages/model/groups";
import { decoded, formatOf } from "../src/pages/model/import/source";
import type { FormField } from "../src/pages/model/schema";

vi.stubGlobal("navigator", { language: "en" });
const { refusalOf } = await import("../src/pages/model/problem");

describe("a chosen file", () => {
  it.each([
    ["points.CSV", "{", "csv"], ["a.yml", "", "yaml"], ["b.json", "", "json"], ["list.txt", "a;b", "csv"],
    ["", '  {"devices": []}', "json"], ["", "pydatacoll: 1\ndevices:\n", "yaml"], ["", "a\tb\n1\t2", "csv"],
  ])("%j with %j is %s", (name, text, format) => {
    expect(formatOf(name, text)).toBe(format);
  });

  it("is read as UTF-8, by its mark, or as what older spreadsheets write", () => {
    expect(decoded(new TextEncoder().encode("Größe °C"), "windows-1252")).toEqual({ text: "Größe °C", encoding: "utf-8" });
    expect(decoded(new Uint8Array([0x47, 0x72, 0xf6, 0xdf, 0x65]), "windows-1252")).toEqual({ text: "Größe", encoding: "windows-1252" });
    expect(decoded(new Uint8Array([0xff, 0xfe, 0x61, 0x00]), "windows-1252")).toEqual({ text: "a", encoding: "utf-16le" });
    expect(decoded(new Uint8Array([0xb5, 0xe7, 0xd1, 0xb9]), "gb18030").text).toBe("电压");
  });
});

describe("a refusal", () => {
  const problem = new Problem(422, "port: must be a number (and 1 more)", [
    { field: "port", message: "must be a number" }, { field: "port", message: "is too big" },
  ]);

  it("stands at its fields", () => {
    expect(refusalOf(problem, () => true)).toEqual({ fields: { port: "must be a number; is too big" }, text: "" });
  });

  it("is told as a whole when it names what the form does not have, or nothing", () => {
    expect(refusalOf(problem, () => false)).toEqual({ fields: {}, text: "port: must be a number (and 1 more)" });
    expect(refusalOf(new Problem(409, "device already exists! a"), () => true).text).toBe("device already exists! a");
  });

  it("of a part has its names without the part", () => {
    const probe = new Problem(422, "x", [{ field: "point.protocol_code", message: "is required" }]);
    expect(refusalOf(probe, (field) => field === "protocol_code", "point.").fields).toEqual({ protocol_code: "is required" });
  });
});

const field = (name: string, type: FormField["type"] = "text"): FormField => ({
  name, type, required: false, nullable: true, default: null, choices: [], help: "", example: "", unit: "",
  range: { min: null, max: null, above: false, below: false }, maxLength: null, pattern: null,
});

describe("a form", () => {
  it("puts what a driver adds to the protocol's group, and the expression last", () => {
    expect(groupsOf("device", [field("id"), field("new_option")]).map(([group]) => group)).toEqual(["identity", "connection"]);
    expect(groupsOf("formula", [field("id"), field("formula"), field("term_id")]).map(([group]) => group)).toEqual(["identity", "expression"]);
  });

  it("is touched where its text is another one, also when that is wrong", () => {
    expect(touched([field("a", "number"), field("b")], { a: 1, b: "x" }, { a: "one", b: "x" })).toEqual(["a"]);
    expect(touched([field("a", "number")], { a: 1 }, { a: "1" })).toEqual([]);
  });
});

describe("a file as curl", () => {
  it("is sent from the file", () => {
    const request = { method: "POST", path: "/api/v2/import", raw: "a,b", file: "it's.csv", headers: { "Content-Type": "text/csv" } };
    expect(curlOf(request, "http://h")).toBe(
      `curl -X POST -H 'Content-Type: text/csv' --data-binary '@it'\\''s.csv' 'http://h/api/v2/import'`,
    );
  });
});
