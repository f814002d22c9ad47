// What the model put out: pictures, sound, films and other files, text, or any JSON.

import { html } from "./html.js";
import { endingOf, isFile, mediaType, shortJson, sizeOf, textOf } from "./files.js";
import { Pictures } from "./pictures.js";

/**
 * @param {object} props
 * @param {object} props.schema of the output
 * @param {object} props.run
 * @param {Array} props.targets the file inputs that an output can be used for
 * @param {Function} props.onUse called with one of them and the address of the file
 */
export function Output({ schema, run, targets, onUse }) {
  const value = run.phase === "ended" && run.output !== undefined ? run.output : soFar(schema, run.chunks);
  if (value === undefined || value === null) return null;
  const files = filesIn(value);
  const pictures = files.filter((file) => mediaType(file).startsWith("image/"));
  const others = files.filter((file) => !pictures.includes(file));
  const isOnlyFiles = isFile(value) || (Array.isArray(value) && value.length > 0 && value.every(isFile));
  return html`<div class="output">
    ${
      pictures.length > 0 &&
      html`<${Pictures} pictures=${pictures} about=${aboutOf(run.input)} targets=${targets} onUse=${onUse} />`
    }
    ${others.map((file, place) => html`<${OtherFile} key=${place} url=${file} />`)}
    ${!isOnlyFiles && html`<${Value} value=${value} schema=${schema} growing=${run.phase !== "ended"} />`}
  </div>`;
}

function soFar(schema, chunks) {
  if (!chunks.length) return undefined;
  if (isText(schema)) return chunks.join("");
  return schema.type === "array" ? chunks : chunks.at(-1);
}

const isText = (schema) => schema["x-cog-array-display"] === "concatenate";

function filesIn(value) {
  if (isFile(value)) return [value];
  return value !== null && typeof value === "object" ? Object.values(value).flatMap(filesIn) : [];
}

function aboutOf(input) {
  return Object.values(input).find((value) => typeof value === "string" && !isFile(value) && value.length > 2) ?? "";
}

function Value({ value, schema, growing }) {
  if (isText(schema) && Array.isArray(value)) return html`<p class="text">${value.join("")}</p>`;
  if (typeof value === "string") return html`<p class=${`text${growing ? " growing" : ""}`}>${value}</p>`;
  return html`<pre class="code-block" tabindex="0" aria-label="Output as JSON">${shortJson(value)}</pre>`;
}

function OtherFile({ url }) {
  const type = mediaType(url);
  const name = `output.${endingOf(url)}`;
  return html`<figure class="other-file">
    ${type.startsWith("audio/") && html`<audio controls src=${url} />`}
    ${type.startsWith("video/") && html`<video controls src=${url} />`}
    ${type.startsWith("text/") && url.startsWith("data:") && html`<p class="text">${textOf(url)}</p>`}
    <figcaption class="row">
      <span class="quiet">${[type, sizeOf(url)].filter(Boolean).join(", ")}</span>
      <a class="button" href=${url} download=${name} target="_blank" rel="noopener">Download</a>
    </figcaption>
  </figure>`;
}
