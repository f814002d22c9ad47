// A number: a box to write it in, and a slider beside it where the range is known and not too wide.

import { html } from "./html.js";

const GREATEST_SEED = 2 ** 32 - 1;

export function NumberWidget({ field, draft, aria, onDraft }) {
  const { minimum, maximum, label } = field;
  const step = field.multipleOf ?? (field.kind === "integer" ? 1 : "any");
  const isUnset = draft === undefined || draft === "";
  const fallback = field.default ?? undefined;
  return html`<div class="row number">
    ${
      field.slides &&
      html`<input
      type="range"
      class=${isUnset && fallback === undefined ? "unset" : ""}
      aria-label=${`${label}, slider`}
      aria-valuetext=${isUnset ? "left to the model" : undefined}
      min=${minimum}
      max=${maximum}
      step=${step === "any" ? fineness(minimum, maximum) : step}
      value=${isUnset ? (fallback ?? (minimum + maximum) / 2) : draft}
      onInput=${(event) => onDraft(event.currentTarget.value)}
    />`
    }
    <input
      ...${aria}
      type="number"
      inputmode=${field.kind === "integer" && !(minimum < 0) ? "numeric" : "decimal"}
      min=${minimum}
      max=${maximum}
      step=${step}
      value=${draft ?? ""}
      placeholder=${fallback ?? (field.required ? "" : "auto")}
      onInput=${(event) => onDraft(event.currentTarget.value)}
    />
    ${
      isSeed(field) &&
      html`<button type="button" class="plain" onClick=${() => onDraft(String(randomSeed(field)))}>
      Random<span class="unseen"> ${label}</span>
    </button>`
    }
    ${
      !field.required &&
      !isUnset &&
      fallback === undefined &&
      html`<button type="button" class="plain" onClick=${() => onDraft(undefined)}>
      Clear<span class="unseen"> ${label}</span>
    </button>`
    }
  </div>`;
}

/** Whether the input is what randomness is drawn from. */
export const isSeed = (field) => field.kind === "integer" && /(^|_)seed$/.test(field.name);

/** One of the seeds that the field allows. */
export function randomSeed({ minimum = 0, maximum = GREATEST_SEED }) {
  const most = Math.min(maximum, GREATEST_SEED);
  return minimum + Math.floor(Math.random() * (most - minimum + 1));
}

function fineness(minimum, maximum) {
  // A hundred positions or more, at round numbers.
  return 10 ** Math.floor(Math.log10((maximum - minimum) / 100));
}
