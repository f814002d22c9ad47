// Widgets for what has parts: lists of simple values, and anything else as JSON.

import { html, useRef } from "./html.js";

export function ListWidget({ field, draft = [], aria, onDraft }) {
  const list = useRef(null);
  const isNumber = field.item !== "text";
  const replace = (place, ...items) => onDraft(draft.toSpliced(place, 1, ...items));
  const add = () => {
    onDraft([...draft, ""]);
    // Once it is there.
    requestAnimationFrame(() => list.current?.querySelector("li:last-child input")?.focus());
  };
  return html`<div>
    <ul class="list" ref=${list}>
      ${draft.map(
        (item, place) => html`<li class="row" key=${place}>
          <input
            id=${place ? undefined : aria.id}
            type=${isNumber ? "number" : "text"}
            step=${field.item === "integer" ? 1 : "any"}
            aria-label=${`${field.label}, item ${place + 1}`}
            value=${item}
            onInput=${(event) => replace(place, event.currentTarget.value)}
            onKeyDown=${(event) => {
              if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
              event.preventDefault();
              add();
            }}
          />
          <button type="button" class="plain" onClick=${() => replace(place)}>
            Remove<span class="unseen"> item ${place + 1} of ${field.label}</span>
          </button>
        </li>`,
      )}
    </ul>
    <button type="button" class="plain" id=${draft.length ? undefined : aria.id} onClick=${add}>
      Add<span class="unseen"> an item to ${field.label}</span>
    </button>
  </div>`;
}

export function JsonWidget({ field, draft, aria, onDraft }) {
  return html`<textarea
    ...${aria}
    class="code"
    rows="3"
    spellcheck=${false}
    placeholder=${field.loose ? "Text, or JSON" : '{"name": "value"}'}
    value=${draft ?? ""}
    onInput=${(event) => onDraft(event.currentTarget.value)}
  />`;
}
