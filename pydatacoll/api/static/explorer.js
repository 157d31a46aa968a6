// The explorer: reads /openapi.json and makes one form per operation. Text from the document or from
// answers reaches the page as text nodes only.
"use strict";

let spec;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function resolve(node) {
  const seen = new Set();
  while (node && node.$ref && !seen.has(node.$ref)) {
    seen.add(node.$ref);
    node = node.$ref.slice(2).split("/").reduce((at, key) => at[key], spec);
  }
  return node || {};
}

// An example that fits a schema: required properties only.
function example(schema, depth = 0) {
  schema = resolve(schema);
  if (depth > 6) return null;
  if (schema.examples) return schema.examples[0];
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  if ("default" in schema) return schema.default;
  for (const key of ["oneOf", "anyOf"]) if (schema[key]) return example(schema[key][0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "object" || schema.properties) {
    const made = {};
    for (const name of schema.required || []) made[name] = example(schema.properties[name], depth + 1);
    return made;
  }
  if (type === "array") return [example(schema.items, depth + 1)];
  if (type === "integer" || type === "number") return schema.minimum || 0;
  if (type === "boolean") return false;
  return type === "string" ? "" : null;
}

function input(parameter) {
  const schema = resolve(parameter.schema);
  if (schema.type === "boolean" || schema.enum) {
    const values = ["", ...(schema.enum || ["true", "false"])];
    return element("select", {}, ...values.map((value) => element("option", { value, textContent: value })));
  }
  return element("input", { placeholder: String((schema.examples || [""])[0]), required: parameter.required === true });
}

function field(parameter, control) {
  return element(
    "label",
    { className: "field" },
    element("span", { textContent: `${parameter.name} (${parameter.in})` }),
    control,
    element("small", { textContent: parameter.description || "" }),
  );
}

function responsesTable(operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) =>
    element(
      "tr",
      {},
      element("td", { textContent: status }),
      element("td", { textContent: resolve(response).description || "" }),
    ),
  );
  return element("table", {}, ...rows);
}

async function send(method, path, controls, body, output) {
  const query = new URLSearchParams();
  const headers = {};
  for (const [parameter, control] of controls) {
    const value = control.value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value !== "" && parameter.in === "query") query.set(parameter.name, value);
    else if (value !== "") headers[parameter.name] = value;
  }
  const token = document.getElementById("token").value;
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { method, headers };
  if (body) {
    headers["Content-Type"] = "application/json";
    options.body = body.value;
  }
  const asked = query.toString();
  const url = asked ? `${path}?${asked}` : path;
  output.hidden = false;
  output.textContent = `${method} ${url} ...`;
  try {
    const started = performance.now();
    const answer = await fetch(url, options);
    let text = await answer.text();
    const spent = Math.round(performance.now() - started);
    if ((answer.headers.get("Content-Type") || "").includes("json")) text = JSON.stringify(JSON.parse(text), null, 2);
    const shown = ["Location", "Link", "X-Total-Count", "Allow"].filter((name) => answer.headers.has(name));
    const lines = shown.map((name) => `${name}: ${answer.headers.get(name)}`);
    output.textContent = [`${method} ${url}`, `${answer.status} ${answer.statusText} (${spent} ms)`, ...lines, "", text].join("\n");
  } catch (error) {
    output.textContent = `${method} ${url}\n${error}`;
  }
}

function form(method, path, operation) {
  const controls = (operation.parameters || []).map((parameter) => [parameter, input(parameter)]);
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const body = content ? element("textarea", { value: JSON.stringify(example(content.schema), null, 2), spellcheck: false }) : null;
  const output = element("pre", { hidden: true });
  const made = element("form", { className: "inside" });
  if (operation.description) made.append(element("p", { textContent: operation.description }));
  made.append(...controls.map(([parameter, control]) => field(parameter, control)));
  if (body) made.append(body);
  made.append(element("button", { textContent: "Send" }), output, responsesTable(operation));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, controls, body, output);
  });
  return made;
}

function show(method, path, operation) {
  const head = element(
    "summary",
    {},
    element("span", { className: method === "DELETE" ? "method deleted" : "method", textContent: method }),
    element("span", { className: "path", textContent: path }),
    element("span", { textContent: operation.summary }),
  );
  const made = element("details", { id: operation.operationId }, head);
  made.dataset.text = `${operation.tags[0]} ${method} ${path} ${operation.summary}`.toLowerCase();
  made.addEventListener("toggle", () => {
    if (made.open && made.childElementCount === 1) made.append(form(method, path, operation));
  });
  return made;
}

function filter(text) {
  for (const made of document.querySelectorAll("#operations details")) made.hidden = !made.dataset.text.includes(text);
}

async function start() {
  spec = await (await fetch("/openapi.json")).json();
  document.getElementById("about").textContent = `Version ${spec.info.version}. ${spec.info.description}`;
  const root = document.getElementById("operations");
  for (const tag of spec.tags) {
    const group = element("section", {}, element("h2", { textContent: `${tag.name.replace("_", " ")}: ${tag.description}` }));
    for (const [path, methods] of Object.entries(spec.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags[0] === tag.name) group.append(show(method.toUpperCase(), path, operation));
      }
    }
    root.append(group);
  }
  document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value.toLowerCase()));
  const wanted = document.getElementById(location.hash.slice(1));
  if (wanted && wanted.tagName === "DETAILS") wanted.open = true;
  if (wanted) wanted.scrollIntoView();
}

start();
