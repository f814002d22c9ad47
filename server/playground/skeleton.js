// What stands where the form and the output will be, until it is known what the model takes.

import { html } from "./html.js";

export function Skeleton() {
  return html`<div class="halves skeleton" role="img" aria-label="The form comes once the model is loaded">
    <div>
      <span class="bone label"></span>
      <span class="bone tall"></span>
      <span class="bone label"></span>
      <span class="bone"></span>
      <span class="bone"></span>
      <span class="bone"></span>
      <span class="bone press"></span>
    </div>
    <div><span class="bone sheet"></span></div>
  </div>`;
}
