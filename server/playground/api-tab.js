// The request that the form makes, to be taken elsewhere.

import { html, useState } from "./html.js";
import { SERVER, token } from "./api.js";
import { shortened } from "./files.js";
import { snippets } from "./snippets.js";
import { Tabs } from "./tabs.js";

export function ApiTab({ input, model }) {
  const [chosen, setChosen] = useState("curl");
  const full = snippets(input, model, token());
  const shown = snippets(forReading(input, model), model, token() && "…");
  const names = full.map((snippet) => snippet.name);
  const place = Math.max(0, names.indexOf(chosen));
  const isCut = full[place].text !== shown[place].text;
  return html`<section class="api" aria-labelledby="api-title">
    <h2 id="api-title">The request that the form makes</h2>
    <p class="quiet">
      It changes with the form, and holds what differs from the defaults. For every operation see the${" "}
      <a href=${new URL("docs", SERVER).href}>API reference</a>.
    </p>
    <${Tabs} name="Language" id="language" tabs=${names} chosen=${names[place]} onChoose=${setChosen} />
    <div id="language-panel" role="tabpanel" aria-labelledby=${`language-${place}`} class="snippet">
      <div class="row">
        <p class="quiet">
          ${full[place].about}${isCut ? " What is long or secret is cut here, but not in the copy." : ""}
        </p>
        <${Copy} text=${full[place].text} />
      </div>
      <pre class="code-block" tabindex="0" aria-label=${`Request: ${names[place]}`}>${shown[place].text}</pre>
    </div>
  </section>`;
}

function forReading(input, model) {
  const cut = (value, isSecret) => {
    if (Array.isArray(value)) return value.map((item) => cut(item, isSecret));
    if (typeof value !== "string") return value;
    return isSecret ? "…" : shortened(value);
  };
  const secrets = new Set(model.fields.filter((field) => field.kind === "secret").map((field) => field.name));
  return Object.fromEntries(Object.entries(input).map(([name, value]) => [name, cut(value, secrets.has(name))]));
}

/** A button that puts `text` on the clipboard. */
export function Copy({ text, label = "Copy" }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      // Without https the clipboard is only there for what a user could do by hand.
      setSaid(copyByHand(text) ? "Copied" : "The browser does not allow it");
    }
    setTimeout(() => setSaid(""), 2000);
  };
  return html`<button type="button" class="copy" onClick=${copy}>
    <span aria-live="polite">${said || label}</span>
  </button>`;
}

function copyByHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
