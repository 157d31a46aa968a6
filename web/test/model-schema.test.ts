import { describe, expect, it } from "vitest";
import { fieldsOf, protocolsOf, schemaOf, type Schemas } from "../src/pages/model/schema";

const schemas: Schemas = {
  DeviceInput: {
    oneOf: [{ $ref: "#/components/schemas/Device_modbus_tcpInput" }],
    discriminator: { mapping: { modbus_tcp: "#/components/schemas/Device_modbus_tcpInput", formula: "x" } },
  },
  Device_modbus_tcpInput: {
    type: "object",
    properties: {
      id: { type: "string", pattern: "^[a-z]+$", examples: ["feeder1"] },
      protocol: { const: "modbus_tcp" },
      port: { anyOf: [{ type: "integer", minimum: 1, maximum: 65535 }, { type: "null" }], default: null },
      timeout: { description: "longest wait, seconds", type: "number", exclusiveMinimum: 0, maximum: 3600, default: 3 },
      byte_order: { enum: ["big", "little"], default: "big" },
      clock: { anyOf: [{ type: "boolean" }, { type: "number" }], default: true },
      enabled: { type: "boolean", default: true },
      sql: { anyOf: [{ type: "string", maxLength: 8192 }, { type: "null" }], default: null },
      zone: { description: "how seconds are told", type: "string", default: "UTC" },
      status: { enum: ["on"], readOnly: true },
      rest: { $ref: "#/components/schemas/Rest" },
    },
    required: ["id", "protocol"],
  },
  Rest: { type: "object", description: "of the driver" },
  TermItem_commonInput: { properties: { term_id: { type: "string" } } },
};

const field = (name: string) => fieldsOf(schemas, "device", "modbus_tcp").find((one) => one.name === name);

describe("form fields from schemas", () => {
  it("knows the protocols of which devices can be made", () => {
    expect(protocolsOf(schemas)).toEqual(["formula", "modbus_tcp"]);
  });

  it("takes what all have where a protocol has no form of its own", () => {
    expect(schemaOf(schemas, "term_item", "modbus_tcp")).toBe(schemas["TermItem_commonInput"]);
    expect(fieldsOf(schemas, "device", "gone")).toEqual([]);
  });

  it("tells types, ranges and what must be given", () => {
    expect(field("id")).toMatchObject({ type: "text", required: true, pattern: "^[a-z]+$", example: "feeder1" });
    expect(field("port")).toMatchObject({
      type: "integer", required: false, nullable: true, default: null,
      range: { min: 1, max: 65535, above: false, below: false },
    });
    expect(field("timeout")).toMatchObject({ type: "number", unit: "s", range: { min: 0, above: true, max: 3600 } });
    expect(field("byte_order")).toMatchObject({ type: "choice", choices: ["big", "little"], default: "big" });
    expect(field("clock")?.type).toBe("any");
    expect(field("enabled")).toMatchObject({ type: "boolean", default: true });
    expect(field("sql")).toMatchObject({ type: "long", maxLength: 8192 });
    expect(field("protocol")).toMatchObject({ type: "const", default: "modbus_tcp" });
    expect(field("rest")).toMatchObject({ type: "any", help: "of the driver" });
  });

  it("gives no unit to a text that only speaks of seconds, and no field to what is read-only", () => {
    expect(field("zone")?.unit).toBe("");
    expect(field("status")).toBeUndefined();
  });
});
