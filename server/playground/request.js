// From what stands in the form to the input of a request, and back.
//
// A draft is what a field's widget holds: text for numbers and JSON, {url, name} for a file, and lists of these.
// `undefined` and "" are an input that is left out.

import { fileAt } from "./files.js";

/** The draft of a field that has this value, or, without one, its default. */
export function draftOf(field, given) {
  const value = given ?? field.default;
  if (value === undefined || value === null) return field.kind === "boolean" && field.required ? false : undefined;
  switch (field.kind) {
    case "integer":
    case "number":
      return String(value);
    case "file":
      return fileAt(String(value));
    case "files":
      return value.map(fileAt);
    case "list":
      return value.map(String);
    case "json":
      return field.loose && typeof value === "string" && !isJson(value) ? value : JSON.stringify(value, null, 2);
    default:
      return value;
  }
}

/**
 * The input of the request: what differs from the defaults, in the order of the form.
 *
 * @returns {{input: object, errors: object}} errors by name, for what cannot be sent at all
 */
export function buildInput(fields, drafts) {
  const input = {};
  const errors = {};
  for (const field of fields) {
    try {
      const value = valueOf(field, drafts[field.name]);
      if (value !== undefined && !isDefault(field, value)) input[field.name] = value;
    } catch (error) {
      errors[field.name] = error.message;
    }
  }
  return { input, errors };
}

/** Whether the field holds anything but what the model takes of itself. */
export function isChanged(field, draft) {
  try {
    const value = valueOf(field, draft);
    return value !== undefined && !isDefault(field, value);
  } catch {
    return true;
  }
}

function isDefault(field, value) {
  return field.default !== undefined && JSON.stringify(value) === JSON.stringify(field.default);
}

function valueOf(field, draft) {
  if (draft === undefined) return undefined;
  // Text can be emptied on purpose only where there is some by default.
  if (draft === "") return typeof field.default === "string" && isText(field) ? "" : undefined;
  switch (field.kind) {
    case "integer":
    case "number":
      return Number(draft);
    case "file":
      return draft.url;
    case "files":
      return draft.length || field.default ? draft.map((file) => file.url) : undefined;
    case "list":
      return listOf(field, draft);
    case "choices":
      return draft;
    case "json":
      return parse(field, draft);
    default:
      return draft;
  }
}

const isText = (field) => field.kind === "text" || field.kind === "longtext";

function listOf(field, draft) {
  if (!draft.length && field.default === undefined) return undefined;
  return draft.map((item) => (field.item === "text" || item === "" ? item : Number(item)));
}

function parse(field, text) {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (field.loose) return text;
    throw new Error(`This is no JSON: ${error.message}`, { cause: error });
  }
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The same input without what must not be kept or passed on. */
export function withoutSecrets(fields, input) {
  const secrets = new Set(fields.filter((field) => field.kind === "secret").map((field) => field.name));
  return Object.fromEntries(Object.entries(input).filter(([name]) => !secrets.has(name)));
}
