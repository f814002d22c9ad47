// What happens on the page as a whole.

import { useEffect, useRef } from "./html.js";
import { readFile } from "./files.js";

/** Ctrl-Enter runs, wherever the focus is. */
export function usePageKeys(onRun) {
  useListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    onRun();
  });
}

/** A file that is pasted nowhere in particular; `onFile` gets it as a draft. */
export function usePagePaste(onFile) {
  const latest = useLatest(onFile);
  const reading = useRef(Promise.resolve());
  useListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (!file) return;
    const before = reading.current;
    // One after the other; and much may have changed once it is read.
    reading.current = readFile(file).then(async (taken) => {
      await Promise.allSettled([before]);
      latest.current(taken);
    });
  });
}

function useListener(name, listener) {
  const latest = useLatest(listener);
  useEffect(() => {
    const onEvent = (event) => latest.current(event);
    addEventListener(name, onEvent);
    return () => removeEventListener(name, onEvent);
  }, []);
}

/** What belongs to the page as it is now. Effects run some time after the page was drawn, so theirs may be older. */
function useLatest(value) {
  const latest = useRef(value);
  latest.current = value;
  return latest;
}

/** Unfold what an input is in. */
export function showInput(name) {
  // Once it is drawn.
  requestAnimationFrame(() => unfolded(name));
}

/** The same, and go there. */
export function focusInput(name) {
  requestAnimationFrame(() => {
    const field = unfolded(name);
    field?.scrollIntoView({ block: "center" });
    field?.querySelector("input, textarea, select, button")?.focus({ preventScroll: true });
  });
}

function unfolded(name) {
  const field = document.querySelector(`[data-input="${CSS.escape(name ?? "")}"]`);
  field?.closest("details")?.setAttribute("open", "");
  return field;
}
