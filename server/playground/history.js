// What this browser ran before, with its settings.

import { html } from "./html.js";
import { isFile, mediaType } from "./files.js";
import { seconds } from "./progress.js";

export function History({ entries, busy, canVary, onOpen, onAgain, onVary, onForget }) {
  if (!entries.length) return null;
  return html`<section class="history" aria-labelledby="history-title">
    <div class="row">
      <h2 id="history-title">Earlier, in this browser</h2>
      <button type="button" class="plain" onClick=${() => onForget()}>Forget all</button>
    </div>
    <ul>
      ${entries.map((entry) => {
        const name = titleOf(entry);
        const at = new Date(entry.startedAt);
        const ofWhat = html`<span class="unseen"> ${name}</span>`;
        return html`<li key=${entry.id} class="earlier">
          <button type="button" class="picture" onClick=${() => onOpen(entry)}>
            <${Thumbnail} entry=${entry} />
            <span class="unseen">Open ${name}</span>
          </button>
          <div>
            <p class="earlier-title">${name}</p>
            <p class="quiet">
              <time datetime=${at.toISOString()}>${whenOf(at)}</time>
              ${` · ${entry.status === "succeeded" ? seconds(entry.endedAt - entry.startedAt) : (entry.status ?? "running")}`}
            </p>
            <div class="row">
              <button type="button" class="plain" disabled=${busy || !entry.status} onClick=${() => onAgain(entry)}>
                Again${ofWhat}
              </button>
              ${
                canVary &&
                html`<button type="button" class="plain" disabled=${busy || !entry.status} onClick=${() => onVary(entry)}>
                  Vary the seed${ofWhat}
                </button>`
              }
              <button type="button" class="plain" onClick=${() => onForget(entry.id)}>Forget${ofWhat}</button>
            </div>
          </div>
        </li>`;
      })}
    </ul>
  </section>`;
}

function Thumbnail({ entry }) {
  const [first] = [entry.output].flat();
  if (isFile(first) && mediaType(first).startsWith("image/") && first.startsWith("data:"))
    return html`<img src=${first} alt="" />`;
  const isText = entry.status === "succeeded" && typeof first === "string" && !isFile(first);
  const text = isText ? first : (entry.status ?? "running");
  return html`<span class="no-picture">${text.slice(0, 80)}</span>`;
}

/** The time of today; the day, of other days. */
function whenOf(moment) {
  const isToday = moment.toDateString() === new Date().toDateString();
  return isToday ? moment.toLocaleTimeString([], { timeStyle: "short" }) : moment.toLocaleDateString();
}

function titleOf(entry) {
  const text = Object.values(entry.input).find((value) => typeof value === "string" && !isFile(value));
  return text?.slice(0, 120) || "Without text";
}
