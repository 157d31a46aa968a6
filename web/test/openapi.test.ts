import { expect, test } from "vitest";
import { exampleOf, filled, groupsOf, isGrave, membersOf, missing, operationsOf, optionsOf, resolve, type Document, type Schema } from "../src/pages/api/openapi";

const document: Document = {
  info: { title: "T", version: "1" },
  tags: [{ name: "points", description: "what is measured" }],
  paths: {
    "/points/{id}": {
      get: {
        operationId: "get_point", summary: "One point", tags: ["points"], security: [{ token: ["read"] }],
        parameters: [
          { name: "id", in: "path", required: true, schema: { type: "string" } },
          { name: "limit", in: "query", schema: { type: "integer", default: 5 } },
          { name: "deep", in: "query", schema: { type: "boolean" } },
          { name: "If-Match", in: "header" },
        ],
        responses: { "404": { $ref: "#/components/responses/Missing" } },
      },
      delete: { operationId: "delete_point", tags: ["points"] },
    },
    "/odd": { post: { requestBody: { content: { "application/json": { schema: { $ref: "#/components/schemas/Odd" } } } } } },
  },
  components: {
    responses: { Missing: { description: "no such point" } },
    schemas: {
      Odd: {
        type: "object", required: ["id", "kind", "list", "self"],
        properties: {
          id: { type: "string", examples: ["a1"] }, kind: { enum: ["x", "y"] }, extra: { type: "string" },
          list: { type: "array", items: { type: "integer", minimum: 1 } }, self: { $ref: "#/components/schemas/Odd" },
        },
      },
      Circle: { $ref: "#/components/schemas/Circle" },
    },
  },
};

test("operations are grouped by tag, those without one come last, and a search leaves out the others", () => {
  expect(groupsOf(document).map(({ name, operations }) => [name, operations.length])).toEqual([["points", 2], ["", 1]]);
  expect(groupsOf(document, "one POINT").flatMap(({ operations }) => operations.map(({ id }) => id))).toEqual(["get_point"]);
  expect(groupsOf(document, "nothing like it")).toEqual([]);
});

test("references are followed, and those that lead nowhere or in a circle harm nothing", () => {
  expect(operationsOf(document)[0]?.answers).toEqual([{ status: "404", description: "no such point" }]);
  expect(resolve(document, { $ref: "#/nowhere/at/all" })).toEqual({});
  expect(exampleOf(document, { $ref: "#/components/schemas/Circle" })).toBeNull();
});

test("an example has what is required, and ends where a schema contains itself", () => {
  const example = exampleOf(document, { $ref: "#/components/schemas/Odd" }) as Record<string, unknown>;
  expect(example).toMatchObject({ id: "a1", kind: "x", list: [1] });
  expect("extra" in example).toBe(false);
  expect(JSON.stringify(example).length).toBeLessThan(1000);
});

test("fields become path, query and headers; ids are escaped, empty fields left out", () => {
  const [operation] = operationsOf(document);
  if (!operation) throw new Error("no operation");
  expect(missing(operation, {})).toEqual(["id"]);
  expect(filled(operation, { "path id": "a/b?c", "query limit": "2", "query deep": "", "header If-Match": "x" })).toEqual({
    method: "GET", path: "/points/a%2Fb%3Fc?limit=2", headers: { "If-Match": "x" },
  });
  expect(operation.scope).toBe("read");
  expect(operation.parameters.map((parameter) => optionsOf(document, parameter))).toEqual([null, null, ["", "true", "false"], null]);
});

test("what deletes, replaces or moves something is to be confirmed", () => {
  expect(isGrave({ method: "DELETE", path: "/x" })).toBe(true);
  expect(isGrave({ method: "POST", path: "/api/v2/devices/del" })).toBe(true);
  expect(isGrave({ method: "POST", path: "/api/v1/device_ctrl" })).toBe(true);
  expect(isGrave({ method: "POST", path: "/api/v2/import?mode=replace" })).toBe(true);
  expect(isGrave({ method: "POST", path: "/api/v1/device_call" })).toBe(false);
  expect(isGrave({ method: "GET", path: "/api/v2/imports" })).toBe(false);
});

test("the members of a body are told, also those of a list's elements", () => {
  const wanted = [
    ["id", "string", true], ["kind", "x | y", true], ["extra", "string", false], ["list", "array", true], ["self", "object", true],
  ];
  const told = (schema: Schema) => membersOf(document, schema).map(({ name, type, required }) => [name, type, required]);
  expect(told({ $ref: "#/components/schemas/Odd" })).toEqual(wanted);
  expect(told({ type: "array", items: { $ref: "#/components/schemas/Odd" } })).toEqual(wanted);
  expect(told({ type: "string" })).toEqual([]);
});
