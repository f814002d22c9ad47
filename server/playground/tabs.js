// A row of tabs: one is chosen by a click, or by the arrow keys.

import { html, useRef } from "./html.js";

/** Their panel has the id `${id}-panel`, and the tabs `${id}-0` and so on. */
export function Tabs({ name, id, tabs, chosen, onChoose }) {
  const row = useRef(null);
  const onKeyDown = (event) => {
    const place = tabs.indexOf(chosen);
    const next = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const target = (next + tabs.length) % tabs.length;
    onChoose(tabs[target]);
    row.current.children[target].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${name} ref=${row} onKeyDown=${onKeyDown}>
    ${tabs.map(
      (tab, place) => html`<button
        type="button"
        key=${tab}
        role="tab"
        id=${`${id}-${place}`}
        aria-selected=${tab === chosen ? "true" : "false"}
        aria-controls=${`${id}-panel`}
        tabindex=${tab === chosen ? 0 : -1}
        onClick=${() => onChoose(tab)}
      >
        ${tab}
      </button>`,
    )}
  </div>`;
}
