// How the server is: asked again and again, and said at the top of the page.

import { html, useEffect, useState } from "./html.js";
import { request } from "./api.js";

const OFTEN = 1000;
const SELDOM = 10_000;

/**
 * [health, ask]: the body of `/health-check` as {status, setup, ...}, {status: "LOST"} while the server cannot be
 * reached, {} before the first answer; and what asks again at once.
 */
export function useHealth(onError) {
  const [health, setHealth] = useState({});
  const [asked, setAsked] = useState(0);
  const askNow = () => setAsked((times) => times + 1);
  useEffect(() => {
    let timer;
    let stopped = false;
    const ask = async () => {
      const found = await askOnce(onError);
      if (stopped) return;
      setHealth(found);
      timer = setTimeout(ask, CALM.has(found.status) || document.hidden ? SELDOM : OFTEN);
    };
    ask();
    addEventListener("online", askNow);
    return () => {
      stopped = true;
      clearTimeout(timer);
      removeEventListener("online", askNow);
    };
  }, [asked]);
  return [health, askNow];
}

const CALM = new Set(["READY", "SETUP_FAILED"]);

async function askOnce(onError) {
  try {
    return await (await request("health-check?logs=true")).json();
  } catch (error) {
    onError(error);
    return { status: "LOST" };
  }
}

const WORDS = {
  STARTING: "Loading the model",
  READY: "Ready",
  BUSY: "Busy",
  SETUP_FAILED: "The model could not be loaded",
  UNHEALTHY: "Unwell",
  DEFUNCT: "Restarting",
  LOST: "No connection",
};

export function HealthMark({ health }) {
  const status = health.status ?? "STARTING";
  return html`<span class=${`health ${status.toLowerCase()}`} role="status">
    ${health.status ? (WORDS[status] ?? status) : "Connecting"}
  </span>`;
}

/** Whether predictions are taken. */
export const isReady = (health) => ["READY", "BUSY", "UNHEALTHY", "DEFUNCT"].includes(health.status);

/** What stands in the way, if anything does, and what the setup said. */
export function Obstacle({ health }) {
  const logs = health.setup?.logs;
  switch (health.status) {
    case "LOST":
      return html`<${Notice}
        kind="bad"
        title="The server cannot be reached"
        text="It has ended, or the connection is lost. The page goes on by itself once it is back."
      />`;
    case "STARTING":
      return html`<${Notice}
        kind="wait"
        title="The model is being loaded"
        text="This takes from seconds to minutes."
        logs=${logs}
      />`;
    case "SETUP_FAILED":
      return html`<${Notice}
        kind="bad"
        title="The model could not be loaded"
        text="The log below says why. Once that is mended, start the server again."
        logs=${logs}
        open
      />`;
    case "UNHEALTHY":
      return html`<${Notice}
        kind="bad"
        title="The model says that it is not well"
        text=${health.user_healthcheck_error}
      />`;
    case "DEFUNCT":
      return html`<${Notice}
        kind="wait"
        title="The model died and is being started again"
        text="What you run now waits for it."
        logs=${logs}
      />`;
    default:
      return null;
  }
}

function Notice({ kind, title, text, logs, open = false }) {
  return html`<div class=${`notice ${kind}`} role=${kind === "bad" ? "alert" : "status"}>
    <strong>${title}</strong>
    ${text && html`<p>${text}</p>`}
    ${
      logs &&
      html`<details class="more" open=${open}>
      <summary>Setup log</summary>
      <pre class="code-block" tabindex="0" aria-label="Setup log">${logs}</pre>
    </details>`
    }
  </div>`;
}
