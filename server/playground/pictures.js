// Pictures side by side, each with what can be done with it, and one of them in full size.

import { html, useEffect, useRef, useState } from "./html.js";
import { endingOf } from "./files.js";

export function Pictures({ pictures, about, targets, onUse }) {
  const [full, setFull] = useState(null);
  const nameOf = (place) => `Output ${place + 1} of ${pictures.length}${about ? `: ${about.slice(0, 200)}` : ""}`;
  return html`<ul class=${`pictures${pictures.length === 1 ? " single" : ""}`}>
      ${pictures.map(
        (url, place) => html`<li key=${place}>
          <${Picture} url=${url} name=${nameOf(place)} place=${place} targets=${targets} onUse=${onUse}
            onOpen=${() => setFull(place)} />
        </li>`,
      )}
    </ul>
    ${
      full !== null &&
      html`<${FullSize} pictures=${pictures} first=${full} nameOf=${nameOf} onClose=${() => setFull(null)} />`
    }`;
}

function Picture({ url, name, place, targets, onUse, onOpen }) {
  const [shown, setShown] = useState(true);
  return html`<figure>
    ${
      shown
        ? html`<button type="button" class="picture" onClick=${onOpen}>
          <img src=${url} alt=${name} onError=${() => setShown(false)} />
          <span class="unseen">Show in full size</span>
        </button>`
        : html`<p class="quiet">
          It lies elsewhere, or is no picture: <a href=${url} target="_blank" rel="noopener">open it</a>
        </p>`
    }
    <figcaption class="row">
      <a class="button" href=${url} download=${`output-${place}.${endingOf(url)}`}>
        Download<span class="unseen"> output ${place + 1}</span>
      </a>
      ${targets.map(
        (field) => html`<button type="button" key=${field.name} onClick=${() => onUse(field, url)}>
          Use as ${targets.length > 1 ? field.label.toLowerCase() : "input"}
          <span class="unseen">: output ${place + 1}</span>
        </button>`,
      )}
    </figcaption>
  </figure>`;
}

function FullSize({ pictures, first, nameOf, onClose }) {
  const dialog = useRef(null);
  const [place, setPlace] = useState(first);
  const move = (by) => setPlace((place + by + pictures.length) % pictures.length);
  useEffect(() => dialog.current.showModal(), []);
  const onKeyDown = (event) => {
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  };
  return html`<dialog ref=${dialog} class="full" aria-label="Full size" onClose=${onClose} onKeyDown=${onKeyDown}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
    <img src=${pictures[place]} alt=${nameOf(place)} />
    <div class="row end">
      ${
        pictures.length > 1 &&
        html`<button type="button" onClick=${() => move(-1)}>Previous</button>
        <span class="quiet" aria-live="polite">${place + 1} of ${pictures.length}</span>
        <button type="button" onClick=${() => move(1)}>Next</button>`
      }
      <button type="button" onClick=${() => dialog.current.close()}>Close</button>
    </div>
  </dialog>`;
}
