// The model as its OpenAPI document describes it: the fields of the form, and what comes out.

const FILE = "uri";
const PROMPT_LIKE = /(^|_)(prompts?|text|caption|description|instructions?|message|story|lyrics|script)(_\d+)?$/;
const LONG_TEXT = 200;
const MOST_ON_A_SLIDER = 5000;

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label the name, in words
 * @property {string} kind "text", "longtext", "integer", "number", "boolean", "choice", "choices", "file", "files",
 *   "secret", "list" or "json"
 * @property {string} [item] of a list: "text", "integer" or "number"
 * @property {boolean} required
 * @property {*} default undefined where there is none
 * @property {Array} [choices]
 * @property {boolean} slides whether a slider suits it
 * @property {boolean} loose whether text that is no JSON is meant as text
 */

/** What the page needs to know of the model: {title, description, trains, path, fields, output}. */
export function readModel(document) {
  const schemas = document.components.schemas;
  const trains = document.info["x-darkroom-mode"] === "train";
  const input = schemas[trains ? "TrainingInput" : "Input"] ?? {};
  const required = new Set(input.required ?? []);
  const fields = Object.entries(input.properties ?? {})
    .map(([name, property]) => readField(name, property, required.has(name), schemas))
    .sort((one, other) => one.order - other.order);
  return {
    title: document.info.title === "Cog" ? "Darkroom" : document.info.title,
    description: document.info.description ?? "",
    trains,
    path: trains ? "trainings" : "predictions",
    fields,
    output: schemas[trains ? "TrainingOutput" : "Output"] ?? {},
  };
}

function readField(name, property, required, schemas) {
  const schema = resolve(property, schemas);
  const kind = kindOf(name, schema);
  return {
    name,
    kind,
    required,
    label: inWords(name),
    // Not that of the choices, which says only that they are some.
    description: property.description ?? "",
    order: property["x-order"] ?? 0,
    default: schema.default ?? undefined,
    nullable: schema.nullable === true,
    deprecated: schema.deprecated === true,
    minimum: schema.minimum,
    maximum: schema.maximum,
    multipleOf: schema.multipleOf,
    minLength: schema.minLength,
    maxLength: schema.maxLength,
    pattern: schema.pattern,
    choices: schema.enum,
    accept: schema["x-cog-accept"],
    item: kind === "list" ? simpleKind(schema.items) : undefined,
    loose: (schema.anyOf ?? []).some((member) => member.type === "string"),
    slides: schema.maximum - schema.minimum <= MOST_ON_A_SLIDER,
  };
}

function resolve(property, schemas) {
  const { allOf = [], $ref, ...own } = property;
  const parts = $ref ? [{ $ref }] : allOf;
  // Limits lie in what is referred to, and what the model says of this input beside the reference.
  return Object.assign({}, ...parts.map((part) => (part.$ref ? schemas[part.$ref.split("/").pop()] : part)), own);
}

function kindOf(name, schema) {
  if (schema.enum) return Array.isArray(schema.default) || schema.type === "array" ? "choices" : "choice";
  if (schema["x-cog-secret"] || schema.format === "password") return "secret";
  if (schema.type === "array") {
    if (schema.items?.format === FILE) return "files";
    return LISTED.has(simpleKind(schema.items)) ? "list" : "json";
  }
  const kind = simpleKind(schema);
  if (kind !== "text") return kind ?? (schema.format === FILE ? "file" : "json");
  const isLong = PROMPT_LIKE.test(name) || schema.maxLength > LONG_TEXT || String(schema.default ?? "").length > 60;
  return isLong ? "longtext" : "text";
}

const LISTED = new Set(["text", "integer", "number"]);

function simpleKind(schema) {
  if (schema?.enum || schema?.format === FILE || schema?.["x-cog-secret"]) return undefined;
  return { string: "text", integer: "integer", number: "number", boolean: "boolean" }[schema?.type];
}

/** `guidance_scale` as people write it: "Guidance scale"; `num_outputs` as "Number of outputs". */
export function inWords(name) {
  const words = name.replaceAll("_", " ").trim().replace(/^num /, "number of ").replace(/\blora\b/, "LoRA");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
