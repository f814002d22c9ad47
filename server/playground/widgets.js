// Widgets that are one control or a row of them: text, switches, choices, secrets.

import { html, useLayoutEffect, useRef, useState } from "./html.js";

export function TextWidget({ field, draft, aria, onDraft }) {
  const area = useRef(null);
  useLayoutEffect(() => {
    // As high as its text, where the browser cannot see to that by itself.
    if (field.kind === "longtext" && !CSS.supports("field-sizing", "content")) {
      area.current.style.height = "auto";
      area.current.style.height = `${area.current.scrollHeight + 2}px`;
    }
  }, [draft]);
  const onInput = (event) => onDraft(event.currentTarget.value);
  if (field.kind === "longtext") {
    return html`<textarea ...${aria} ref=${area} rows="2" value=${draft ?? ""} onInput=${onInput} />`;
  }
  return html`<input ...${aria} type="text" value=${draft ?? ""} autocomplete="off" onInput=${onInput} />`;
}

export function SwitchWidget({ field, draft, aria, onDraft }) {
  if (field.nullable && typeof field.default !== "boolean") {
    const onChange = (event) => onDraft(SWITCHED[event.currentTarget.value]);
    return html`<select ...${aria} value=${String(draft)} onChange=${onChange}>
      <option value="undefined">Left to the model</option>
      <option value="true">Yes</option>
      <option value="false">No</option>
    </select>`;
  }
  return html`<input ...${aria} type="checkbox" class="switch" role="switch" checked=${draft === true}
    onChange=${(event) => onDraft(event.currentTarget.checked)} />`;
}

const SWITCHED = { true: true, false: false };

export function ChoiceWidget({ field, draft, aria, onDraft }) {
  const place = field.choices.indexOf(draft);
  const mayBeLeft = field.default === undefined;
  const onChange = (event) => onDraft(field.choices[event.currentTarget.value]);
  return html`<select ...${aria} value=${place} onChange=${onChange}>
    ${mayBeLeft && html`<option value="-1">${field.required ? "Choose one" : "Left to the model"}</option>`}
    ${field.choices.map((choice, index) => html`<option key=${index} value=${index}>${String(choice)}</option>`)}
  </select>`;
}

export function ChoicesWidget({ field, draft = [], aria, onDraft }) {
  const toggle = (choice, chosen) =>
    onDraft(field.choices.filter((one) => (one === choice ? chosen : draft.includes(one))));
  return html`<div class="chips">
    ${field.choices.map(
      (choice, index) => html`<label class="chip" key=${index}>
        <input type="checkbox" id=${index ? undefined : aria.id} checked=${draft.includes(choice)}
          onChange=${(event) => toggle(choice, event.currentTarget.checked)} />
        ${String(choice)}
      </label>`,
    )}
  </div>`;
}

export function SecretWidget({ draft, aria, onDraft, field }) {
  const [shown, setShown] = useState(false);
  return html`<div class="row">
    <input ...${aria} type=${shown ? "text" : "password"} value=${draft ?? ""} autocomplete="off" spellcheck=${false}
      onInput=${(event) => onDraft(event.currentTarget.value)} />
    <button type="button" class="plain" aria-pressed=${shown} onClick=${() => setShown(!shown)}>
      ${shown ? "Hide" : "Show"}<span class="unseen"> ${field.label}</span>
    </button>
  </div>`;
}
