// The page: what is known of the server and the model, what stands in the form, and what was run.

import { html, render, useEffect, useRef, useState } from "./html.js";
import { token, Unauthorized } from "./api.js";
import { ApiTab } from "./api-tab.js";
import { Form } from "./form.js";
import { fileAt } from "./files.js";
import { useForm } from "./form-state.js";
import { Guard } from "./guard.js";
import { HealthMark, isReady, Obstacle, useHealth } from "./health.js";
import { History } from "./history.js";
import { useModel } from "./model.js";
import { isSeed, randomSeed } from "./number-widget.js";
import { focusInput, showInput, usePageKeys, usePagePaste } from "./page-events.js";
import { withoutSecrets } from "./request.js";
import { Result, warningsOf } from "./result.js";
import { RunBar } from "./run-bar.js";
import { useRuns } from "./runs.js";
import { inWords } from "./schema.js";
import { Skeleton } from "./skeleton.js";
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
  const { drafts, errors, built, left, setDraft, fill, offer, setErrors } = useForm(fields);
  const [tab, setTab] = useState(DEMO);
  const [said, setSaid] = useState("");
  const output = useRef(null);

  const onEnded = (ended) => {
    setSaid(announcement(ended));
    if (ended.status !== "refused") return;
    refuse(ended.fields);
    askHealth();
  };
  const runs = useRuns({ onFound: (entry) => offer(entry.input), onEnded, onError });
  const { run } = runs;
  const running = run !== null && run.phase !== "ended";
  const ready = isReady(health);

  const refuse = (wrong) => {
    setErrors(wrong);
    focusInput(fields.find((field) => wrong[field.name])?.name);
  };

  const start = (input) => {
    setErrors({});
    setTab(DEMO);
    setSaid("Running");
    const preview = fields.some((field) => field.name === "preview_interval") && !("preview_interval" in input);
    runs.start(model.path, input, withoutSecrets(fields, input), preview ? { preview_interval: 1 } : {});
  };

  const onRun = () => {
    if (running || !model || !ready) return;
    if (Object.keys(built.errors).length) refuse(built.errors);
    else start(built.input);
  };

  const open = (entry) => {
    if (running) return;
    fill(entry.input);
    runs.open(entry);
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

  const put = (field, file) => {
    setDraft(field, field.kind === "file" ? file : (before = []) => [...before, file]);
    setSaid(`It is in ${field.label} now`);
  };
  const use = (field, url) => {
    put(field, { ...fileAt(url), name: url.startsWith("data:") ? "output" : url });
    focusInput(field.name);
  };

  usePageKeys(onRun);
  usePagePaste((file) => {
    const isFree = (field) => field.kind === "file" && !drafts[field.name];
    const free = fields.find(isFree) ?? fields.find((field) => field.kind === "files");
    if (!free) return;
    put(free, file);
    showInput(free.name);
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
      <h1>${model?.description || (model?.trains ? "Train the model" : "Run the model")}</h1>
      <${Obstacle} health=${health} />
      <${Tabs} name="Page" id="page" tabs=${[DEMO, API]} chosen=${tab} onChoose=${setTab} />
      <div id="page-panel" role="tabpanel" aria-labelledby=${`page-${tab === DEMO ? 0 : 1}`}>
        ${!model && health.status !== "SETUP_FAILED" && html`<${Skeleton} />`}
        ${
          model &&
          html`<div class=${`halves ${tab === API ? "with-api" : ""}`}>
          <form novalidate aria-label="Inputs" onSubmit=${(event) => {
            event.preventDefault();
            onRun();
          }}>
            <${LeftOut} names=${left} />
            <${Form} fields=${fields} drafts=${drafts} errors=${errors} notes=${notesOf(run)} onDraft=${setDraft} />
            <${RunBar} running=${running} ready=${ready} model=${model} input=${built.input}
              onCancel=${runs.stop} onReset=${() => fill({})} />
          </form>
          ${
            tab === API
              ? html`<${ApiTab} input=${built.input} model=${model} />`
              : html`<section class="half" aria-labelledby="output-title" ref=${output}>
                <h2 id="output-title" class="unseen">Output</h2>
                <${Guard} key=${run?.id} what="The output">
                  <${Result} run=${run} model=${model} busy=${health.status === "BUSY"} targets=${targets}
                    onUse=${use} onFocus=${focusInput} />
                <//>
                <${Guard} what="What ran earlier">
                  <${History} entries=${runs.entries.filter((entry) => isHere(entry, model, run))}
                    busy=${running || !ready} canVary=${Boolean(seedField)} onOpen=${open}
                    onAgain=${(entry) => again(entry, seedUsed(entry, seedField))}
                    onVary=${(entry) => again(entry, randomSeed(seedField))} onForget=${runs.forget} />
                <//>
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
const FILES = new Set(["file", "files"]);
const NARROW = "(max-width: 899px)";

function LeftOut({ names }) {
  if (!names.length) return null;
  return html`<div class="notice wait" role="status">
    <strong>Not everything could be filled in</strong>
    <p>The model does not take what was given for: ${names.map(inWords).join(", ")}.</p>
  </div>`;
}

/** Whether it belongs among what ran earlier: it is of the same kind, and not what is shown while it runs. */
const isHere = (entry, model, run) => entry.path === model.path && (entry.status || entry.id !== run?.id);

function notesOf(run) {
  const notes = {};
  for (const { input, message } of run?.phase === "ended" ? warningsOf(run) : []) {
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

render(html`<${Guard} what="The page"><${App} /><//>`, document.getElementById("app"));
