// Where drawing a part of the page fails, that part says so, and how to go on; the rest stays as it is.

import { html, useErrorBoundary } from "./html.js";

/** @param {string} props.what the part, as the beginning of a sentence has it */
export function Guard({ what, children }) {
  const [error, drawAgain] = useErrorBoundary();
  if (!error) return children;
  const reload = () => {
    // What stands in the address may be what cannot be drawn.
    history.replaceState(null, "", location.pathname + location.search);
    location.reload();
  };
  return html`<div class="notice bad" role="alert">
    <strong>${what} cannot be shown</strong>
    <p>This is a fault of the page, or the server sent what it does not know: ${String(error.message ?? error)}</p>
    <div class="row">
      <button type="button" onClick=${drawAgain}>Try again</button>
      <button type="button" onClick=${reload}>Load the page anew</button>
    </div>
  </div>`;
}
