// From what stands in the form to the input of a request, and back.
//
// A draft is what a field's widget holds: text for numbers and JSON, {url, name} for a file, and lists of these.
// `undefined` and "" are an input that is left out.

import { fileAt, isFile } from "./files.js";

/** The draft of a field that has this value, or its default where there is none, or one that does not fit. */
export function draftOf(field, given) {
  const value = given === undefined || given === null || !fits(field, given) ? field.default : given;
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

/** The names in an input from elsewhere that the form has no place for: unknown, or of another kind. */
export function misfits(fields, input) {
  const known = new Map(fields.map((field) => [field.name, field]));
  const isMisfit = ([name, value]) => value !== null && !(known.has(name) && fits(known.get(name), value));
  return Object.entries(input)
    .filter(isMisfit)
    .map(([name]) => name);
}

/** Whether the widget can hold it. Whether it is allowed says the server. */
function fits(field, value) {
  switch (field.kind) {
    case "integer":
    case "number":
      return Number.isFinite(value);
    case "boolean":
      return typeof value === "boolean";
    case "choice":
      return field.choices.includes(value);
    case "choices":
      return Array.isArray(value) && value.every((item) => field.choices.includes(item));
    case "file":
      return isFile(value);
    case "files":
      return Array.isArray(value) && value.every(isFile);
    case "list":
      return Array.isArray(value) && value.every((item) => typeof item === "string" || Number.isFinite(item));
    case "json":
      return isShallow(value);
    default:
      return typeof value === "string";
  }
}

const DEEPEST = 100;

/** Whether there is an end to it within reason; what is nested without measure is too large once it is indented. */
function isShallow(value, room = DEEPEST) {
  if (value === null || typeof value !== "object") return true;
  return room > 0 && Object.values(value).every((item) => isShallow(item, room - 1));
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
