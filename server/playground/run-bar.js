// The buttons under the form.

import { html } from "./html.js";
import { Copy } from "./api-tab.js";
import { linkTo } from "./link.js";

export function RunBar({ running, ready, model, input, onCancel, onReset }) {
  const link = linkTo(model.fields, input);
  const label = link.left.length ? `Copy link without ${link.left.join(", ")}` : "Copy link";
  return html`<div class="run-bar row">
    ${
      running
        ? html`<button type="button" class="primary stop" onClick=${onCancel}>Cancel</button>`
        : html`<button type="submit" class="primary" disabled=${!ready} aria-keyshortcuts="Control+Enter">
          ${model.trains ? "Train" : "Run"} <kbd aria-hidden="true">Ctrl ↵</kbd>
        </button>`
    }
    <span class="gap"></span>
    <${Copy} text=${link.url} label=${label} />
    <button type="button" onClick=${onReset}>Reset</button>
  </div>`;
}
