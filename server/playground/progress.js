// A prediction on its way: its place in the queue, how far it is, and what can be seen of it.

import { html, useEffect, useState } from "./html.js";

export function Progress({ run, busy }) {
  const done = progressOf(run);
  const previews = Object.values(run.previews);
  return html`<section class="progress" aria-label="Progress">
    ${
      previews.length > 0 &&
      html`<div class="previews">
      ${previews.map((url, place) => html`<img key=${place} src=${url} alt="Preview of the picture in the making" />`)}
    </div>`
    }
    ${!previews.length && !run.chunks.length && html`<div class="developing" aria-hidden="true"></div>`}
    <div class="row">
      <span>${phaseOf(run, done, busy)}</span>
      <${Elapsed} since=${run.startedAt} />
    </div>
    <progress aria-label="How far it is" max="1" value=${done.part} />
  </section>`;
}

function phaseOf(run, done, busy) {
  if (run.phase === "lost") return "The connection is lost. Trying again…";
  if (run.place) return run.place === 1 ? "Next in the queue" : `Number ${run.place} in the queue`;
  if (run.phase !== "running") return busy ? "Waiting for its turn…" : "Sending…";
  if (done.steps) return `Step ${done.steps[0]} of ${done.steps[1]}`;
  return done.part === undefined ? "Running…" : `${Math.round(done.part * 100)}% done`;
}

// How tqdm, and with it most models, draw a bar: " 40%|####      | 8/20 [00:01<00:02, 5.9it/s]".
const BAR = /(\d+)%\|[^|\n]*\|\s*(\d+)\/(\d+)\s/g;

/** How far it is, as {part: 0 to 1, steps: [done, all]}; each undefined where nobody knows. */
export function progressOf(run) {
  const bar = [...run.logs.slice(-2000).matchAll(BAR)].at(-1);
  const all = bar ? Number(bar[3]) : undefined;
  const told = run.metrics.progress;
  if (typeof told === "number") {
    // The log is behind the metric.
    return { part: Math.min(1, told), steps: all ? [Math.round(told * all), all] : undefined };
  }
  return all ? { part: Number(bar[2]) / all, steps: [Number(bar[2]), all] } : {};
}

function Elapsed({ since }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const ticking = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(ticking);
  }, []);
  return html`<span class="elapsed" role="timer" aria-live="off">${seconds(now - since)}</span>`;
}

/** Milliseconds in words: "2.1 s", "1 min 5 s". */
export function seconds(milliseconds) {
  const total = Math.max(0, milliseconds) / 1000;
  if (total < 60) return `${total.toFixed(1)} s`;
  return `${Math.floor(total / 60)} min ${Math.floor(total % 60)} s`;
}
