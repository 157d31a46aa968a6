// Form fields out of the API's schemas (/openapi.json): what one can enter, of which type, in which range. Pure.
import type { Json, Kind } from "../../api/types";

/** The part of JSON schema (2020-12) that the API's components use. */
export interface Schema {
  $ref?: string;
  type?: string;
  const?: Json;
  enum?: Json[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  default?: unknown;
  description?: string;
  examples?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  required?: string[];
  readOnly?: boolean;
  discriminator?: { mapping?: Record<string, string> };
}

export type Schemas = Record<string, Schema>;

/** `any` takes JSON where it can be read so, else a text: objects, lists and fields of several types. */
export type FieldType = "text" | "long" | "integer" | "number" | "boolean" | "choice" | "const" | "any";

export interface FormField {
  name: string;
  type: FieldType;
  required: boolean;
  /** Whether it may be unset although its default is no value. */
  nullable: boolean;
  default: unknown;
  choices: Json[];
  help: string;
  example: string;
  /** Short sign of the unit, where the description tells one. */
  unit: string;
  range: Range;
  maxLength: number | null;
  pattern: string | null;
}

export interface Range {
  min: number | null;
  max: number | null;
  /** The bound itself is not allowed. */
  above: boolean;
  below: boolean;
}

/** Texts that may be longer than this get a field of several lines. */
const LONG = 1024;

const FAMILY: Record<Kind, string> = {
  device: "Device", term: "Term", term_item: "TermItem", item: "Item", formula: "Formula",
};

/** The protocols of which devices can be made, as the schemas list them. */
export function protocolsOf(schemas: Schemas): string[] {
  const mapping = schemas["DeviceInput"]?.discriminator?.mapping;
  if (mapping) return Object.keys(mapping).sort();
  return Object.keys(schemas).flatMap((name) => /^Device_(.+)Input$/.exec(name)?.[1] ?? []).sort();
}

/** The schema of what one sends for an object; terms and term items take the protocol from their device. */
export function schemaOf(schemas: Schemas, kind: Kind, protocol: string): Schema | null {
  const family = FAMILY[kind];
  const names = [`${family}_${protocol}Input`, `${family}_commonInput`, `${family}Input`];
  for (const name of names) {
    const found = schemas[name];
    if (found?.properties) return found;
  }
  return null;
}

/** The form of an object; [] when there is no driver of this protocol. */
export function fieldsOf(schemas: Schemas, kind: Kind, protocol: string): FormField[] {
  const schema = schemaOf(schemas, kind, protocol);
  if (!schema?.properties) return [];
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties)
    .filter(([, property]) => !property.readOnly)
    .map(([name, property]) => fieldOf(schemas, name, property, required.has(name)));
}

/** Whether it is the name of a formula's parameter: p0 to p999. */
export const isParam = (name: string): boolean => /^p[0-9]{1,3}$/.test(name);

function fieldOf(schemas: Schemas, name: string, given: Schema, required: boolean): FormField {
  const alternatives = (given.anyOf ?? given.oneOf ?? [given]).map((one) => resolved(schemas, one));
  const kinds = alternatives.filter((one) => one.type !== "null");
  const only = kinds.length === 1 ? kinds[0] : undefined;
  const help = given.description ?? only?.description ?? "";
  const example = given.examples?.[0] ?? only?.examples?.[0];
  const fixed = given.const;
  return {
    name,
    type: fixed !== undefined ? "const" : only ? typeOf(only) : "any",
    required,
    nullable: kinds.length < alternatives.length,
    default: fixed ?? given.default,
    choices: only?.enum ?? [],
    help,
    example: example === undefined ? "" : String(example),
    unit: /\bseconds\b/.test(help) && only?.type !== "string" ? "s" : "",
    range: {
      min: only?.minimum ?? only?.exclusiveMinimum ?? null,
      max: only?.maximum ?? only?.exclusiveMaximum ?? null,
      above: only?.exclusiveMinimum !== undefined,
      below: only?.exclusiveMaximum !== undefined,
    },
    maxLength: only?.maxLength ?? null,
    pattern: only?.pattern ?? null,
  };
}

function resolved(schemas: Schemas, schema: Schema): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : { ...(schemas[name] ?? {}), ...schema };
}

function typeOf(schema: Schema): FieldType {
  if (schema.enum) return "choice";
  if (schema.type === "string") return (schema.maxLength ?? 0) > LONG ? "long" : "text";
  if (schema.type === "integer" || schema.type === "number" || schema.type === "boolean") return schema.type;
  return "any";
}
