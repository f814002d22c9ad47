// A link that fills in the form: the input as JSON behind the #, where it is sent to no server.

import { withoutSecrets } from "./request.js";

const LONGEST_VALUE = 4000;

/**
 * @returns {{url: string, left: string[]}} the link, and the names of the inputs that are not in it, being secret or
 *   too long, as uploaded files are
 */
export function linkTo(fields, input) {
  const open = Object.entries(withoutSecrets(fields, input));
  const short = open.filter(([, value]) => JSON.stringify(value).length <= LONGEST_VALUE);
  const kept = Object.fromEntries(short);
  const url = new URL(location.href);
  url.hash = `input=${encodeURIComponent(JSON.stringify(kept))}`;
  return { url: url.href, left: Object.keys(input).filter((name) => !(name in kept)) };
}

/** The input that the address of this page holds; undefined where it holds none. */
export function linkedInput() {
  if (!location.hash.startsWith("#input=")) return undefined;
  try {
    const input = JSON.parse(decodeURIComponent(location.hash.slice("#input=".length)));
    return input !== null && typeof input === "object" && !Array.isArray(input) ? input : undefined;
  } catch {
    return undefined;
  }
}
