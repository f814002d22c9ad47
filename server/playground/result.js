// The right half of the page: nothing yet, a prediction on its way, or how it ended.

import { html } from "./html.js";
import { shortJson } from "./files.js";
import { Output } from "./output.js";
import { Progress, seconds } from "./progress.js";
import { inWords } from "./schema.js";

export function Result({ run, model, busy, targets, onUse, onFocus }) {
  if (!run) return html`<${Empty} />`;
  const hasEnded = run.phase === "ended";
  return html`<div class="result" data-status=${hasEnded ? run.status : run.phase}>
    ${hasEnded ? html`<${Ending} run=${run} />` : html`<${Progress} run=${run} busy=${busy} />`}
    <${Warnings} run=${run} onFocus=${onFocus} />
    <${Output} schema=${model.output} run=${run} targets=${targets} onUse=${onUse} />
    ${hasEnded && run.status !== "refused" && html`<${Metrics} run=${run} />`}
    ${
      run.logs &&
      html`<details class="more" open=${run.status === "failed"}>
      <summary>Logs</summary>
      <pre class="code-block" tabindex="0" aria-label="Logs">${readable(run.logs)}</pre>
    </details>`
    }
    ${
      hasEnded &&
      run.status !== "refused" &&
      html`<details class="more">
      <summary>Response</summary>
      <pre class="code-block" tabindex="0" aria-label="Response">${shortJson(responseOf(run))}</pre>
    </details>`
    }
  </div>`;
}

function Empty() {
  return html`<div class="empty">
    <div class="tray" aria-hidden="true"></div>
    <p>What the model makes appears here.</p>
    <p class="quiet with-keys"><kbd>Ctrl</kbd> <kbd>Enter</kbd> runs it.</p>
  </div>`;
}

const ENDINGS = {
  succeeded: "Done",
  failed: "It failed",
  canceled: "Canceled",
  refused: "Not run",
};

function Ending({ run }) {
  const took = seconds(run.endedAt - run.startedAt);
  const count = Object.keys(run.fields ?? {}).length;
  const wanting = count === 1 ? "An input needs another look." : `${count} inputs need another look.`;
  // The words before the reason are Cog's, sometimes twice.
  const told = run.error?.replace(/^(Prediction failed: )+/, "");
  const reason = told || (count ? wanting : "");
  return html`<div class=${`ending ${run.status}`}>
    <div class="row">
      <strong>${ENDINGS[run.status] ?? run.status}</strong>
      ${run.status !== "refused" && html`<span class="elapsed">${took}</span>`}
    </div>
    ${reason && html`<p class="reason">${reason}</p>`}
  </div>`;
}

function Warnings({ run, onFocus }) {
  const warnings = warningsOf(run);
  if (!warnings.length && !run.warning) return null;
  return html`<section class="warnings" aria-label="Warnings">
    <ul>
      ${run.warning && html`<li>${run.warning}</li>`}
      ${warnings.map(
        ({ code, input, message }) => html`<li>
          <span class="tag">${code}</span>
          ${" "}
          ${
            input &&
            html`<button type="button" class="link" onClick=${() => onFocus(input)}>${inWords(input)}</button>: `
          }
          ${message}
        </li>`,
      )}
    </ul>
  </section>`;
}

/** What the model recorded as the metric `warnings`, as far as it is what is meant by that: {code, input, message}. */
export function warningsOf(run) {
  const { warnings } = run.metrics;
  return Array.isArray(warnings) ? warnings.filter((warning) => typeof warning?.message === "string") : [];
}

/** Metrics that are shown in another way. */
const WARNINGS = "warnings";
const ELSEWHERE = new Set(["preview", "progress"]);

function Metrics({ run }) {
  // Under these names models may record something else.
  const isElsewhere = (name, value) => ELSEWHERE.has(name) || (name === WARNINGS && value?.length === warningsOf(run).length);
  const isShown = ([name, value]) => !isElsewhere(name, value);
  const shown = Object.entries(run.metrics).filter(isShown);
  if (!shown.length) return null;
  return html`<dl class="metrics" aria-label="Metrics">
    ${shown.map(
      ([name, value]) => html`<div key=${name}>
        <dt>${inWords(name)}</dt>
        <dd>${inDigits(name, value)}</dd>
      </div>`,
    )}
  </dl>`;
}

function inDigits(name, value) {
  if (typeof value === "number" && name.endsWith("_time")) return seconds(value * 1000);
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(4);
  return typeof value === "string" ? value : shortJson(value);
}

function readable(logs) {
  // A carriage return draws over what stood on the line.
  return logs
    .split("\n")
    .map((line) => line.slice(line.replace(/\r+$/, "").lastIndexOf("\r") + 1))
    .join("\n");
}

function responseOf({ id, status, output, error, metrics, logs }) {
  return { id, status, output, error, metrics, logs };
}
