// The page: what is known of the server and the model, what stands in the form, and what was run.

import { html, render, useEffect, useRef, useState } from "./html.js";
import { request, token, Unauthorized } from "./api.js";
import { ApiTab } from "./api-tab.js";
import { Form } from "./form.js";
import { fileAt } from "./files.js";
import { useForm } from "./form-state.js";
import { HealthMark, isReady, Obstacle, useHealth } from "./health.js";
import { History } from "./history.js";
import { isSeed, randomSeed } from "./number-widget.js";
import { focusInput, usePageKeys, usePagePaste } from "./page-events.js";
import { withoutSecrets } from "./request.js";
import { Result } from "./result.js";
import { cancel, run as runPrediction } from "./run.js";
import { RunBar } from "./run-bar.js";
import { readModel } from "./schema.js";
import { forget, keep, kept } from "./store.js";
import { Tabs } from "./tabs.js";
import { ThemeButton } from "./theme.js";
import { TokenDialog } from "./token-dialog.js";

const DEMO = "Demo";
const API = "API";

function App() {
  const [locked, setLocked] = useState(false);
  const onError = (error) => error instanceof Unauthorized && setLocked(true);
  const [health, askHealth] = useHealth(onError);
  const [model, askModel] = useModel(health, onError);
  const fields = model?.fields ?? NONE;
  const { drafts, errors, built, setDraft, fill, setErrors } = useForm(fields);
  const [tab, setTab] = useState(DEMO);
  const [run, setRun] = useState(null);
  const [entries, setEntries] = useState([]);
  const [said, setSaid] = useState("");
  const following = useRef(null);
  const output = useRef(null);

  const running = run !== null && run.phase !== "ended";

  useEffect(() => void kept().then(setEntries), []);

  const focusFirst = (wrong) => focusInput(fields.find((field) => wrong[field.name])?.name);

  const start = async (input) => {
    following.current?.abort();
    following.current = new AbortController();
    setErrors({});
    setTab(DEMO);
    setSaid("Running");
    const preview = fields.some((field) => field.name === "preview_interval") && !("preview_interval" in input);
    const extra = preview ? { preview_interval: 1 } : {};
    try {
      const ended = await runPrediction(input, extra, setRun, following.current.signal);
      if (ended.phase !== "ended") return;
      setSaid(announcement(ended));
      if (ended.status === "refused") {
        setErrors(ended.fields);
        focusFirst(ended.fields);
        askHealth();
      } else if (ENDED.has(ended.status)) {
        const { chunks: _, previews: __, warning: ___, ...entry } = ended;
        setEntries(await keep({ ...entry, input: withoutSecrets(fields, input) }));
      }
    } catch (error) {
      onError(error);
      setRun(null);
      if (!(error instanceof Unauthorized)) throw error;
    }
  };

  const onRun = () => {
    if (running || !model || !isReady(health)) return;
    if (Object.keys(built.errors).length) {
      setErrors(built.errors);
      focusFirst(built.errors);
    } else start(built.input);
  };

  const onCancel = async () => {
    try {
      await cancel(run.id);
    } catch {
      // Nobody hears it; so it is given up.
      following.current.abort();
      setRun((last) => ({ ...last, phase: "ended", status: "canceled", endedAt: Date.now() }));
    }
  };

  const open = (entry) => {
    if (running) return;
    fill(entry.input);
    setRun({ ...entry, chunks: [], previews: {} });
  };

  const again = (entry, seed) => {
    const input = seed === undefined ? entry.input : { ...entry.input, [seedField.name]: seed };
    fill(input);
    start(input);
  };
  // On a phone what comes out is below the form.
  useEffect(() => {
    if (run?.phase === "sending" && matchMedia(NARROW).matches) output.current?.scrollIntoView({ block: "start" });
  }, [run?.phase]);

  const seedField = fields.find(isSeed);
  const targets = fields.filter((field) => FILES.has(field.kind) && field.name !== "mask");

  const use = (name, url) => {
    const file = { ...fileAt(url), name: url.startsWith("data:") ? "output" : url };
    put(fields.find((field) => field.name === name), file);
    setSaid("It is an input now");
    focusInput(name);
  };

  const put = (field, file) => setDraft(field, field.kind === "file" ? file : (before = []) => [...before, file]);

  usePageKeys(onRun);
  usePagePaste((file) => {
    const isFree = (field) => field.kind === "file" && !drafts[field.name];
    const free = fields.find(isFree) ?? fields.find((field) => field.kind === "files");
    if (free) put(free, file);
  });

  return html`
    <header class="top">
      <p class="brand">
        <img src=${new URL("icon.svg", import.meta.url).href} alt="" width="28" height="28" />
        ${model?.title ?? "Darkroom"}
      </p>
      <${HealthMark} health=${health} />
      <${ThemeButton} />
    </header>
    <main>
      <h1>${model?.description || "Run the model"}</h1>
      <${Obstacle} health=${health} />
      <${Tabs} name="Page" id="page" tabs=${[DEMO, API]} chosen=${tab} onChoose=${setTab} />
      <div id="page-panel" role="tabpanel" aria-labelledby=${`page-${tab === DEMO ? 0 : 1}`}>
        ${!model && html`<div class="skeleton" aria-label="Loading the form" role="img"></div>`}
        ${
          model &&
          html`<div class=${`halves ${tab === API ? "with-api" : ""}`}>
          <form novalidate aria-label="Inputs" onSubmit=${(event) => {
            event.preventDefault();
            onRun();
          }}>
            <${Form} fields=${fields} drafts=${drafts} errors=${errors} notes=${notesOf(run)} onDraft=${setDraft} />
            <${RunBar} running=${running} ready=${isReady(health)} fields=${fields} input=${built.input}
              onCancel=${onCancel} onReset=${() => fill({})} />
          </form>
          ${
            tab === API
              ? html`<${ApiTab} input=${built.input} model=${model} />`
              : html`<section class="half" aria-labelledby="output-title" ref=${output}>
                <h2 id="output-title" class="unseen">Output</h2>
                <${Result} run=${run} model=${model} busy=${health.status === "BUSY"} targets=${targets}
                  onUse=${use} onFocus=${focusInput} />
                <${History} entries=${entries} busy=${running || !isReady(health)} canVary=${Boolean(seedField)}
                  onOpen=${open}
                  onAgain=${(entry) => again(entry, seedUsed(entry, seedField))}
                  onVary=${(entry) => again(entry, randomSeed(seedField))}
                  onForget=${async (id) => setEntries(await forget(id))} />
              </section>`
          }
        </div>`
        }
      </div>
    </main>
    <p class="unseen" role="status" aria-live="polite">${said}</p>
    ${
      locked &&
      html`<${TokenDialog} wrong=${token() !== null} onDone=${() => {
        setLocked(false);
        askHealth();
        askModel();
      }} />`
    }
  `;
}

const NONE = [];
const ENDED = new Set(["succeeded", "failed", "canceled"]);
const FILES = new Set(["file", "files"]);
const BETWEEN_QUESTIONS = 1000;
const NARROW = "(max-width: 899px)";

/** [model, ask]: null until it is set up, and read again after each setup, which may change its inputs; what asks at once. */
function useModel(health, onError) {
  const [model, setModel] = useState(null);
  const [asked, setAsked] = useState(0);
  const askNow = () => setAsked((times) => times + 1);
  const setUp = isReady(health) ? health.setup.completed_at : undefined;
  useEffect(() => {
    if (!setUp) return undefined;
    const asking = new AbortController();
    let timer;
    request("openapi.json", { signal: asking.signal })
      .then(async (response) => setModel(readModel(await response.json())))
      .catch((error) => {
        if (asking.signal.aborted) return;
        onError(error);
        if (!(error instanceof Unauthorized)) timer = setTimeout(askNow, BETWEEN_QUESTIONS);
      });
    return () => {
      asking.abort();
      clearTimeout(timer);
    };
  }, [setUp, asked]);
  return [model, askNow];
}

function notesOf(run) {
  const notes = {};
  for (const { input, message } of run?.phase === "ended" ? (run.metrics?.warnings ?? []) : []) {
    if (input) notes[input] = [...(notes[input] ?? []), message];
  }
  return notes;
}

function announcement(run) {
  if (run.status === "succeeded") return "Done";
  if (run.status === "canceled") return "Canceled";
  return run.error || "An input needs another look";
}

/** So that the same comes out again, where the model told what it drew. */
const seedUsed = (entry, field) => (field && Number.isInteger(entry.metrics.seed) ? entry.metrics.seed : undefined);

render(html`<${App} />`, document.getElementById("app"));
