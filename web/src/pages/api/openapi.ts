// Reads an OpenAPI 3.1 document: operations by group, what they take, examples. Pure.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  examples?: unknown[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  [other: string]: unknown;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  description?: string;
  required?: boolean;
  schema?: Schema;
}

interface Documented {
  $ref?: string;
  description?: string;
  content?: Record<string, { schema?: Schema }>;
}

interface RawOperation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content?: Record<string, { schema?: Schema }> };
  responses?: Record<string, Documented>;
  security?: Record<string, string[]>[];
}

export interface Document {
  info: { title: string; version: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths: Record<string, Record<string, RawOperation>>;
  components?: Record<string, Record<string, unknown>>;
}

export interface Operation {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string;
  parameters: Parameter[];
  /** Media type -> schema; empty when it takes no body. */
  bodies: Record<string, Schema>;
  answers: { status: string; description: string }[];
  /** What a token must be allowed; "" for what is open. */
  scope: string;
}

export interface Group {
  name: string;
  description: string;
  operations: Operation[];
}

/** Follow a reference; one that leads nowhere, or in a circle, gives nothing. */
export function resolve<T extends object>(document: Document, node: T & { $ref?: string }): T {
  const seen = new Set<string>();
  let found: T & { $ref?: string } = node;
  while (found.$ref !== undefined && !seen.has(found.$ref)) {
    seen.add(found.$ref);
    let at: unknown = document;
    for (const key of found.$ref.replace(/^#\//, "").split("/"))
      at = typeof at === "object" && at !== null ? (at as Record<string, unknown>)[key] : undefined;
    found = (at ?? {}) as T & { $ref?: string };
  }
  return found;
}

export function operationsOf(document: Document): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, raw]) => ({
      id: raw.operationId ?? `${method} ${path}`,
      method: method.toUpperCase(),
      path,
      tag: raw.tags?.[0] ?? "",
      summary: raw.summary ?? "",
      description: raw.description ?? "",
      parameters: (raw.parameters ?? []).map((parameter) => resolve(document, parameter)),
      bodies: Object.fromEntries(Object.entries(raw.requestBody?.content ?? {}).map(([type, { schema }]) => [type, schema ?? {}])),
      answers: Object.entries(raw.responses ?? {}).map(([status, answer]) => ({
        status,
        description: resolve(document, answer).description ?? "",
      })),
      scope: raw.security?.[0] ? (Object.values(raw.security[0])[0]?.[0] ?? "") : "",
    })),
  );
}

/** Operations by their first tag, in the order of the document's tags; without those that do not fit the text. */
export function groupsOf(document: Document, text = ""): Group[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const all = operationsOf(document).filter(({ tag, method, path, summary, description }) => {
    const within = `${tag} ${method} ${path} ${summary} ${description}`.toLowerCase();
    return parts.every((part) => within.includes(part));
  });
  const named = document.tags ?? [];
  const others = [...new Set(all.map(({ tag }) => tag))].filter((tag) => !named.some(({ name }) => name === tag));
  return [...named, ...others.map((name) => ({ name, description: "" }))]
    .map(({ name, description = "" }) => ({ name, description, operations: all.filter(({ tag }) => tag === name) }))
    .filter(({ operations }) => operations.length > 0);
}

const DEEP = 6;

/** An example that fits a schema: its required members, or those with an example when none is required. */
export function exampleOf(document: Document, given: Schema, depth = 0): unknown {
  const schema = resolve(document, given);
  if (depth > DEEP) return null;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.enum?.length) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices?.[0]) return exampleOf(document, choices[0], depth + 1);
  if (schema.allOf)
    return Object.assign({}, ...schema.allOf.map((part) => exampleOf(document, part, depth + 1))) as unknown;
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object" || schema.properties) {
    const members = schema.properties ?? {};
    const names = schema.required?.length
      ? schema.required
      : Object.keys(members).filter((name) => members[name] && resolve(document, members[name]).examples?.length);
    return Object.fromEntries(names.map((name) => [name, exampleOf(document, members[name] ?? {}, depth + 1)]));
  }
  if (type === "array") return schema.items ? [exampleOf(document, schema.items, depth + 1)] : [];
  if (type === "integer" || type === "number") return schema.minimum ?? 0;
  if (type === "boolean") return false;
  return type === "string" ? "" : null;
}

export interface Filled {
  method: string;
  path: string;
  headers: Record<string, string>;
}

/** The request that the fields describe; empty ones are left out. */
export function filled(operation: Operation, values: Record<string, string>): Filled {
  const query = new URLSearchParams();
  const headers: Record<string, string> = {};
  let path = operation.path;
  for (const { name, in: place } of operation.parameters) {
    const value = values[`${place} ${name}`] ?? "";
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value !== "" && place === "query") query.set(name, value);
    else if (value !== "") headers[name] = value;
  }
  const asked = query.toString();
  return { method: operation.method, path: asked ? `${path}?${asked}` : path, headers };
}

/** Path parameters that have no value yet. */
export const missing = (operation: Operation, values: Record<string, string>): string[] =>
  operation.parameters
    .filter(({ name, in: place, required }) => (place === "path" || required) && !(values[`${place} ${name}`] ?? ""))
    .map(({ name }) => name);

/** Whether it takes something away, or moves something in the plant: to be confirmed. */
export const isGrave = ({ method, path }: { method: string; path: string }): boolean =>
  method === "DELETE" || (method === "POST" && /\/(del|import|device_ctrl|interrogate)(\?|$)/.test(path));

/** Whether a browser cannot try it by a plain request: a WebSocket. */
export const isSocket = (operation: Operation): boolean =>
  operation.answers.some(({ status }) => status === "101");

/** `type, enum or default` of a parameter, for its help. */
export function typeText(document: Document, parameter: Parameter): string {
  const schema = parameter.schema ? resolve(document, parameter.schema) : {};
  const type = Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "");
  return schema.default === undefined || schema.default === null ? type : `${type}, = ${String(schema.default)}`;
}

/** What a parameter may be, when it is one of few; "" stands for leaving it out. */
export function optionsOf(document: Document, parameter: Parameter): string[] | null {
  const schema = parameter.schema ? resolve(document, parameter.schema) : {};
  if (schema.enum) return ["", ...schema.enum.map(String)];
  return schema.type === "boolean" ? ["", "true", "false"] : null;
}

export interface Member {
  name: string;
  type: string;
  required: boolean;
  description: string;
}

/** What a body may have: the members of an object, or of the elements of a list. */
export function membersOf(document: Document, given: Schema, depth = 0): Member[] {
  const schema = resolve(document, given);
  const inner = schema.items ?? schema.oneOf?.[0] ?? schema.anyOf?.[0];
  if (!schema.properties) return inner && depth < DEEP ? membersOf(document, inner, depth + 1) : [];
  return Object.entries(schema.properties).map(([name, property]) => {
    const parts = [property, ...(property.anyOf ?? property.oneOf ?? [])].map((part) => resolve(document, part));
    const types = [...new Set(parts.flatMap((part) => (part.enum ? part.enum.map(String) : (part.type ?? []))))];
    const description = property.description ?? parts.find((part) => part.description)?.description ?? "";
    return { name, type: types.join(" | "), required: schema.required?.includes(name) ?? false, description };
  });
}
