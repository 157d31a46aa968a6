import { expect, test } from "vitest";
import { differencesOf, plainText } from "../src/pages/log/diff";

test("only what differs is told, field by field, also within objects", () => {
  const before = { id: "d", port: 502, tls: { on: false, name: "a" }, tags: [1, 2] };
  const after = { id: "d", port: 503, tls: { on: true, name: "a" }, tags: [1, 2], enabled: false };
  expect(differencesOf(before, after)).toEqual([
    { field: "port", kind: "changed", before: 502, after: 503 },
    { field: "tls.on", kind: "changed", before: false, after: true },
    { field: "enabled", kind: "added", before: undefined, after: false },
  ]);
});

test("a new object is all added, a deleted one all removed, bare values are compared as such", () => {
  expect(differencesOf(null, { id: "d" })).toEqual([{ field: "id", kind: "added", before: undefined, after: "d" }]);
  expect(differencesOf({ id: "d" }, null)).toEqual([{ field: "id", kind: "removed", before: "d", after: undefined }]);
  expect(differencesOf(5, 6)).toEqual([{ field: "", kind: "changed", before: 5, after: 6 }]);
  expect(differencesOf(5, 5)).toEqual([]);
  expect(differencesOf(null, null)).toEqual([]);
  expect(differencesOf(null, 0)).toEqual([{ field: "", kind: "added", before: null, after: 0 }]);
});

test("values read as people write them", () => {
  expect([plainText("on"), plainText(null), plainText([1]), plainText(false)]).toEqual(["on", "—", "[1]", "false"]);
});
