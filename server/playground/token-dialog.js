// Asks for the token of a server that wants one. It is kept for this tab only.

import { html, useEffect, useRef } from "./html.js";
import { setToken } from "./api.js";

export function TokenDialog({ wrong, onDone }) {
  const dialog = useRef(null);
  const field = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  const onSubmit = (event) => {
    event.preventDefault();
    setToken(field.current.value.trim());
    onDone();
  };
  const stay = (event) => event.preventDefault();
  return html`<dialog ref=${dialog} class="token" aria-labelledby="token-title" onCancel=${stay}>
    <form onSubmit=${onSubmit}>
      <h2 id="token-title">This server wants a token</h2>
      ${wrong && html`<p class="error">The last one was not taken.</p>`}
      <p><label for="token">Token, as whoever runs the server gave it to you</label></p>
      <input ref=${field} id="token" type="password" autocomplete="off" required />
      <div class="row end"><button type="submit" class="primary">Go on</button></div>
    </form>
  </dialog>`;
}
