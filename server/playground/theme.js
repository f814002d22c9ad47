// Light or dark: as the system has it, unless the user chose here.

import { html, useLayoutEffect, useState } from "./html.js";

const KEY = "darkroom-theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };

const WORDS = { auto: "Auto", light: "Light", dark: "Dark" };

export function ThemeButton() {
  const [theme, setTheme] = useState(localStorage.getItem(KEY) ?? "auto");
  // At once: whoever leaves the page right after choosing finds it so again.
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(KEY, theme);
  }, [theme]);
  return html`<button type="button" class="plain theme" onClick=${() => setTheme(NEXT[theme])}>
    <span aria-hidden="true">◐ </span><span class="unseen">Colours: </span>${WORDS[theme]}
  </button>`;
}
