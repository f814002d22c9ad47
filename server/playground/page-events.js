// What happens on the page as a whole.

import { useEffect } from "./html.js";

/** Ctrl-Enter runs, wherever the focus is. */
export function usePageKeys(onRun) {
  useEffect(() => {
    const onKeyDown = (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      onRun();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  });
}

/** A file that is pasted nowhere in particular. */
export function usePagePaste(onFile) {
  useEffect(() => {
    const onPaste = (event) => {
      const [file] = event.clipboardData.files;
      if (file) onFile(file);
    };
    addEventListener("paste", onPaste);
    return () => removeEventListener("paste", onPaste);
  });
}

/** Show the field of an input, and go there. */
export function focusInput(name) {
  // Once it is drawn, and the group around it unfolded.
  requestAnimationFrame(() => {
    const field = document.querySelector(`[data-input="${CSS.escape(name ?? "")}"]`);
    field?.closest("details")?.setAttribute("open", "");
    field?.scrollIntoView({ block: "center" });
    field?.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
  });
}
