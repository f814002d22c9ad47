// One prediction: asked for, followed to its end by its stream, or by asking where there is no stream.

import { request, Refused } from "./api.js";
import { events } from "./events.js";

const BETWEEN_QUESTIONS = 1000;
const BETWEEN_PICTURES = 50;

/**
 * @typedef {object} RunState
 * @property {string} id
 * @property {object} input
 * @property {string} phase "sending", "queued", "running", "lost" (the connection, that is) or "ended"
 * @property {number} startedAt when it was asked for, in milliseconds as `Date.now()` has them
 * @property {number} [endedAt]
 * @property {number} [place] in the queue, from 1
 * @property {Array} chunks pieces of the output so far
 * @property {object} previews the latest of each picture in the making, by its number
 * @property {string} logs
 * @property {object} metrics
 * @property {string} [status] "succeeded", "failed", "canceled", or "refused": it never ran
 * @property {*} [output]
 * @property {string} [error]
 * @property {object} [fields] by input, why it was refused
 * @property {string} [warning] what the server said besides
 */

/** What is to be run: with an id, so that it can be found again whatever happens to this page. */
export function newRun(input) {
  return { id: newId(), input, startedAt: Date.now() };
}

/**
 * Run it; `onChange` gets the state whenever it changes. Returns the last one.
 *
 * Throws `Unauthorized` only. `signal` ends the following of it, not the prediction, which outlives the page.
 *
 * @param {string} path "predictions" or "trainings"
 * @param {object} begun what `newRun` returned
 * @param {object} extra further inputs, of the page's own
 */
export async function run(path, begun, extra, onChange, signal) {
  return following(path, begun, onChange, signal, async (state, change) => {
    const body = JSON.stringify({ id: begun.id, input: { ...begun.input, ...extra } });
    const response = await start(path, body, signal);
    const warning = response.headers.get("X-Darkroom-Warning") ?? undefined;
    change({ phase: "queued", warning });
    const asking = askForPlace(path, begun.id, state, change, signal);
    try {
      if (response.status !== 202) await follow(response.body, state, change);
    } catch (error) {
      if (signal.aborted) throw error;
    } finally {
      clearInterval(asking);
    }
    if (state().phase !== "ended") await poll(path, begun.id, state, change, signal);
  });
}

/** The same for one that another page, or this one before it was loaded anew, has begun. */
export async function resume(path, begun, onChange, signal) {
  return following(path, begun, onChange, signal, (state, change) => poll(path, begun.id, state, change, signal));
}

async function following(path, begun, onChange, signal, steps) {
  let state = { ...begun, phase: "sending", chunks: [], previews: {}, logs: "", metrics: {} };
  let telling;
  const tell = () => {
    clearTimeout(telling);
    telling = undefined;
    if (!signal.aborted) onChange(state);
  };
  const change = (patch) => {
    const before = state;
    state = { ...before, ...patch };
    // Fast models say more in a second than a slow browser can draw.
    if (state.phase !== before.phase) tell();
    else telling ??= setTimeout(tell, BETWEEN_PICTURES);
  };
  onChange(state);
  try {
    await steps(() => state, change);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError) && error.name !== "AbortError") throw error;
    const reason = error instanceof Refused ? error.message : "The server cannot be reached.";
    change({ phase: "ended", status: "refused", endedAt: Date.now(), error: reason, fields: error.fields ?? {} });
  }
  return state;
}

function newId() {
  // randomUUID is there only where the page came by https or from this machine.
  const bytes = [...crypto.getRandomValues(new Uint8Array(16))];
  return `play_${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Ask the server to stop it. That it has ended already is no error. */
export async function cancel(path, id) {
  try {
    await request(`${path}/${id}/cancel`, { method: "POST" });
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404)) throw error;
  }
}

async function start(path, body, signal) {
  // It runs on when this page is closed, loaded anew, or loses the connection.
  const headers = { "Content-Type": "application/json", Prefer: "respond-async" };
  const options = { method: "POST", body, signal };
  // Of trainings there are no streams.
  if (path !== "predictions") return request(path, { ...options, headers });
  try {
    return await request(path, { ...options, headers: { ...headers, Accept: "text/event-stream" } });
  } catch (error) {
    if (!(error instanceof Refused && error.status === 406)) throw error;
    // The operator wants no streams of this model.
    return request(path, { ...options, headers });
  }
}

async function follow(body, state, change) {
  for await (const { event, data } of events(body)) {
    switch (event) {
      case "start":
        change({ phase: "running", place: undefined });
        break;
      case "log":
        change({ logs: state().logs + data.data });
        break;
      case "metric":
        if (isPreview(data)) change({ previews: { ...state().previews, ...previewsIn({ preview: data.value }) } });
        else change({ metrics: recorded(state().metrics, data) });
        break;
      case "output":
        change({ chunks: [...state().chunks, data.chunk] });
        break;
      case "completed":
        end(data, change);
    }
  }
}

const isPreview = ({ name, value }) => name === "preview" && Object.keys(previewsIn({ preview: value })).length > 0;

/** The preview among the metrics by its number, if there is one: other models may mean something else by that name. */
function previewsIn({ preview }) {
  const { image, index = 0 } = preview ?? {};
  return typeof image === "string" && image.startsWith("data:image/") ? { [index]: image } : {};
}

function recorded(metrics, { name, value, mode }) {
  const { [name]: before, ...others } = metrics;
  if (value === null && mode === "replace") return others;
  if (mode === "increment") return { ...others, [name]: (before ?? 0) + value };
  if (mode === "append") return { ...others, [name]: [...(before ?? []), value] };
  return { ...others, [name]: value };
}

function end(prediction, change) {
  const { status, output, error, logs = "", metrics = {}, completed_at: at } = prediction;
  change({ phase: "ended", endedAt: Date.parse(at) || Date.now(), status, output, error, logs, metrics, place: undefined });
}

function askForPlace(path, id, state, change, signal) {
  // A stream says nothing before its turn has come.
  return setInterval(async () => {
    if (state().phase !== "queued" || signal.aborted) return;
    try {
      const { queue_position: place } = await (await request(`${path}/${id}`, { signal })).json();
      if (state().phase === "queued") change({ place });
    } catch {
      // The stream tells of it, if the connection is lost.
    }
  }, BETWEEN_QUESTIONS);
}

async function poll(path, id, state, change, signal) {
  while (!signal.aborted) {
    try {
      const prediction = await (await request(`${path}/${id}`, { signal })).json();
      if (ENDED.has(prediction.status)) return end(prediction, change);
      const { logs = "", metrics = {}, queue_position: place } = prediction;
      const previews = { ...state().previews, ...previewsIn(metrics) };
      change({ phase: place === undefined ? "running" : "queued", place, logs, metrics, previews });
    } catch (error) {
      if (error instanceof Refused && error.status === 404) {
        const reason = "The server was restarted, or keeps no predictions: how this one ended is not known.";
        return change({ phase: "ended", endedAt: Date.now(), status: "failed", error: reason });
      }
      if (signal.aborted || !(error instanceof TypeError || error instanceof Refused)) throw error;
      change({ phase: "lost" });
    }
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_QUESTIONS));
  }
}

const ENDED = new Set(["succeeded", "failed", "canceled"]);
