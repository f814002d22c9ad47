// One input: its name, its widget, what it is for, and what is wrong with it.

import { html } from "./html.js";
import { FileWidget, FilesWidget } from "./file-widget.js";
import { ListWidget, JsonWidget } from "./list-widget.js";
import { NumberWidget } from "./number-widget.js";
import { ChoiceWidget, ChoicesWidget, SecretWidget, SwitchWidget, TextWidget } from "./widgets.js";

const WIDGETS = {
  text: TextWidget,
  longtext: TextWidget,
  integer: NumberWidget,
  number: NumberWidget,
  boolean: SwitchWidget,
  choice: ChoiceWidget,
  choices: ChoicesWidget,
  file: FileWidget,
  files: FilesWidget,
  secret: SecretWidget,
  list: ListWidget,
  json: JsonWidget,
};

/** Inputs whose widget is several controls; they are named as a group. */
const SEVERAL = new Set(["choices", "files", "list"]);

export function Field({ field, draft, error, notes = [], image, onDraft }) {
  const id = `input-${field.name}`;
  const described = [error && `error-${field.name}`, field.description && `about-${field.name}`].filter(Boolean);
  const isGroup = SEVERAL.has(field.kind);
  const saysRequired = !isGroup && field.kind !== "file";
  const label = html`<span class=${field.required ? "required" : ""}>${field.label}</span>
    ${field.required && !saysRequired && html`<span class="unseen">, required</span>`}
    ${field.deprecated && html`<span class="tag">deprecated</span>`}`;
  const aria = {
    id,
    "aria-describedby": described.join(" ") || undefined,
    "aria-invalid": error ? "true" : undefined,
    "aria-required": field.required && saysRequired ? "true" : undefined,
  };
  return html`<div
    class=${`field field-${field.kind}${error ? " wrong" : ""}`}
    data-input=${field.name}
    role=${isGroup ? "group" : undefined}
    aria-labelledby=${isGroup ? `${id}-label` : undefined}
    aria-describedby=${isGroup ? aria["aria-describedby"] : undefined}
  >
    <div class="field-head">
      ${
        isGroup
          ? html`<span class="label" id=${`${id}-label`}>${label}</span>`
          : html`<label class="label" for=${id}>${label}</label>`
      }
      <span class="hint">${hintOf(field)}</span>
    </div>
    <${WIDGETS[field.kind]} field=${field} draft=${draft} aria=${aria} image=${image} onDraft=${onDraft} />
    ${error && html`<p class="error" id=${`error-${field.name}`}>${error}</p>`}
    ${notes.map((note) => html`<p class="note">${note}</p>`)}
    ${field.description && html`<p class="about" id=${`about-${field.name}`}>${field.description}</p>`}
  </div>`;
}

function hintOf(field) {
  const { minimum, maximum, minLength, maxLength } = field;
  if (field.kind === "integer" || field.kind === "number") return range(minimum, maximum) || NAMES[field.kind];
  if (field.kind === "text" && minLength === maxLength && minLength !== undefined)
    return `${minLength} ${minLength === 1 ? "character" : "characters"}`;
  if (field.kind === "text") return range(minLength, maxLength, " characters");
  return NAMES[field.kind] ?? "";
}

const NAMES = { integer: "whole number", number: "number", json: "JSON", secret: "secret" };

function range(least, most, unit = "") {
  if (least !== undefined && most !== undefined) return `${least} – ${most}${unit}`;
  if (least !== undefined) return `${least}${unit} or more`;
  return most === undefined ? "" : `up to ${most}${unit}`;
}
