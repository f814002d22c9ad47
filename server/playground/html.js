// Preact with templates instead of JSX, so that the browser runs these modules as they are.

import { Fragment, h, render } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export { Fragment, render };
export * from "./vendor/preact-hooks.js";

export const html = htm.bind(h);
