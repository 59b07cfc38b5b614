"use strict";

// Renders /v2/openapi.json. Text only ever becomes text nodes: nothing of the document is read as HTML.

const METHODS = ["get", "post", "put", "delete", "patch"];

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function plain(markdown) {
  return (markdown || "").replaceAll("`", "");
}

function resolve(api, node) {
  if (!node || !node.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((inner, key) => inner[key], api);
}

function typeOf(api, schema, depth) {
  // The schema as a JSON-like sketch; names of components stand for themselves below the first level.
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 2 ? name : typeOf(api, resolve(api, schema), depth);
  }
  if (schema.anyOf) return schema.anyOf.map((each) => typeOf(api, each, depth)).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return `[${typeOf(api, schema.items, depth)}]`;
  if (schema.type === "object" && schema.properties) {
    const indent = "  ".repeat(depth + 1);
    const required = new Set(schema.required || []);
    const lines = Object.entries(schema.properties).map(
      ([name, inner]) => `${indent}${name}${required.has(name) ? "" : "?"}: ${typeOf(api, inner, depth + 1)}`
    );
    return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  return [schema.type || "any JSON", schema.format, limits(schema)].filter(Boolean).join(" ");
}

function limits(schema) {
  const low = schema.minimum ?? schema.minLength;
  const high = schema.maximum ?? schema.maxLength;
  if (low === undefined && high === undefined) return schema.pattern || "";
  return `${low ?? ""}..${high ?? ""}`;
}

function parametersTable(api, parameters) {
  const head = element("tr", "", ...["parameter", "in", "type", "meaning"].map((text) => {
    const cell = element("th", "", text);
    cell.scope = "col";
    return cell;
  }));
  const rows = parameters.map((each) => element("tr", "",
    element("td", "", element("code", "", each.name), each.required ? " (required)" : ""),
    element("td", "", each.in),
    element("td", "", element("code", "", typeOf(api, each.schema, 0))),
    element("td", "", plain(each.description))));
  return element("table", "", head, ...rows);
}

function operationDetails(api, path, method, shared, operation) {
  const label = element("span", `method ${method}`, method.toUpperCase());
  const details = element("details", "",
    element("summary", "", label, " ", element("code", "", path), ` ${operation.summary}`));
  if (operation.description) details.append(element("p", "", plain(operation.description)));
  const parameters = [...shared, ...(operation.parameters || [])];
  if (parameters.length) details.append(parametersTable(api, parameters));
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    details.append(element("h3", "", "Body"), element("pre", "", typeOf(api, schema, 0)));
  }
  for (const [status, reference] of Object.entries(operation.responses)) {
    const response = resolve(api, reference);
    details.append(element("h3", "", `${status} `, element("small", "", plain(response.description))));
    const content = Object.values(response.content || {})[0];
    if (content && Number(status) < 300) details.append(element("pre", "", typeOf(api, content.schema, 0)));
  }
  details.dataset.text = `${method} ${details.textContent}`.toLowerCase();
  return details;
}

function show(api) {
  document.getElementById("version").textContent = api.info.version;
  const tags = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((each) => item[each])) {
      const tag = item[method].tags[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(operationDetails(api, path, method, item.parameters || [], item[method]));
    }
  }
  const sections = [...tags].sort(([a], [b]) => a.localeCompare(b)).map(
    ([tag, operations]) => element("section", "", element("h2", "", tag), ...operations));
  const intro = element("p", "intro", plain(api.info.description));
  document.getElementById("operations").replaceChildren(intro, ...sections);
}

function filter(words) {
  for (const section of document.querySelectorAll("section")) {
    const operations = [...section.querySelectorAll("details")];
    for (const each of operations) each.hidden = !words.every((word) => each.dataset.text.includes(word));
    section.hidden = operations.every((each) => each.hidden);
  }
}

async function main() {
  const search = document.getElementById("search");
  search.addEventListener("input", () => filter(search.value.toLowerCase().split(/\s+/).filter(Boolean)));
  const answer = await fetch("/v2/openapi.json");
  if (!answer.ok) throw new Error(`the document answers ${answer.status}`);
  show(await answer.json());
}

main().catch((error) => {
  document.getElementById("operations").replaceChildren(element("p", "", `No document: ${error.message}`));
});
