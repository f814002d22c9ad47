// Requests to the server that this page came from.

/** Where the server is: the page's own folder, so that a prefix put in front by a proxy does no harm. */
export const SERVER = new URL("..", import.meta.url).href;

const TOKEN = "darkroom-token";

/** The token that the user gave for this tab, or null. */
export const token = () => sessionStorage.getItem(TOKEN);

export const setToken = (value) => sessionStorage.setItem(TOKEN, value);

/** The server wants a token, or another one. */
export class Unauthorized extends Error {}

/** The server said no; `fields` has what is wrong with which input. */
export class Refused extends Error {
  constructor(message, status, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

/**
 * Send a request and return the response, if it is a good one.
 *
 * Throws `Unauthorized` or `Refused`; and what `fetch` throws where the server cannot be reached.
 */
export async function request(path, { headers = {}, ...options } = {}) {
  const allowed = token() ? { Authorization: `Bearer ${token()}` } : {};
  const response = await fetch(new URL(path, SERVER), {
    cache: "no-store",
    headers: { ...headers, ...allowed },
    ...options,
  });
  if (response.status === 401) throw new Unauthorized("The server asks for a token.");
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return new Refused(text || `The server answered ${response.status}.`, response.status);
  }
  if (!Array.isArray(body.detail)) {
    const wait = response.headers.get("Retry-After");
    const advice = wait ? ` Try again in ${wait} s.` : "";
    return new Refused(`${body.error ?? text}${advice}`, response.status);
  }
  const fields = {};
  const others = [];
  for (const { loc, msg } of body.detail) {
    if (loc[1] === "input" && loc.length > 2) fields[loc[2]] = fields[loc[2]] ? `${fields[loc[2]]}. ${msg}` : msg;
    else others.push(`${loc.join(".")}: ${msg}`);
  }
  return new Refused(others.join("\n"), response.status, fields);
}
