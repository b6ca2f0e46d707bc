"use strict";

/** An element with text or other elements inside. */
function make(name, className, ...inside) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...inside.filter((one) => one !== undefined));
  return element;
}

/** The schema that a reference names, or the schema itself. */
function resolved(document, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.split("/").slice(1).reduce((part, key) => part[key], document);
}

/** What kind of value a schema describes, in a few words. */
function kind(document, schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map((one) => kind(document, one)).join(" | ");
  if (schema.type === "array") return `[${kind(document, schema.items || {})}]`;
  const limits = [];
  if (schema.minimum !== undefined) limits.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) limits.push(`to ${schema.maximum}`);
  return [schema.type || "any", ...limits].join(" ");
}

/** The fields of an object as a table. */
function fields(document, schema) {
  const whole = resolved(document, schema);
  if (!whole.properties) return make("p", "", kind(document, schema || {}));
  const rows = Object.entries(whole.properties).map(([name, field]) => {
    const needed = (whole.required || []).includes(name);
    const fallback = field.default === undefined || field.default === null ? "" : `default ${JSON.stringify(field.default)}. `;
    const about = field.description || (field.anyOf || []).map((one) => one.description).find(Boolean) || "";
    return make("tr", "", make("td", "", make("code", "", name)), make("td", "", kind(document, field)),
      make("td", "", needed ? "required. " : "", fallback, about));
  });
  return make("table", "", make("tbody", "", ...rows));
}

/** One route. */
function route(document, path, method, operation) {
  const body = operation.requestBody?.content?.["application/json"]?.schema;
  const answer = operation.responses?.["200"]?.content || {};
  const [type, content] = Object.entries(answer)[0] || ["", {}];
  const parts = [make("p", "", operation.description || operation.summary || "")];
  if (operation.parameters?.length) {
    parts.push(make("h3", "", "Parameters"), make("p", "", operation.parameters.map((one) => `${one.name} (${one.in})`).join(", ")));
  }
  if (body) parts.push(make("h3", "", "Request"), fields(document, body));
  parts.push(make("h3", "", `Answer: ${type}`));
  if (content.schema) parts.push(fields(document, content.schema));
  return make("details", "", make("summary", "", make("code", "method", method.toUpperCase()), make("code", "", path),
    make("span", "about", (operation.description || "").split("\n")[0])), ...parts);
}

async function show() {
  const place = document.getElementById("routes");
  try {
    const answer = await fetch("/openapi.json");
    if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
    const described = await answer.json();
    place.replaceChildren(...Object.entries(described.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => route(described, path, method, operation))));
  } catch (error) {
    place.replaceChildren(make("p", "", `The description cannot be loaded: ${error.message}`));
  }
}

show();
