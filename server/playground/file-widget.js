// Files, by choosing, dropping or pasting them, or by the URL from which the server is to fetch them.

import { html, useRef, useState } from "./html.js";
import { fileAt, mediaType, readFile, sizeOf } from "./files.js";
import { MaskDialog } from "./mask.js";

/** One file; `image` is the draft of the picture that it may be a mask of, undefined where it is no mask. */
export function FileWidget({ field, draft, aria, image, onDraft }) {
  const [drawing, setDrawing] = useState(false);
  const canDraw = image?.url.startsWith("data:image/");
  return html`<div>
    ${
      draft
        ? html`<${Chosen} file=${draft} label=${field.label} onRemove=${() => onDraft(undefined)} />`
        : html`<${Drop} field=${field} aria=${aria} onFiles=${([file]) => onDraft(file)} />`
    }
    ${
      image !== undefined &&
      html`<div class="row">
      <button type="button" disabled=${!canDraw} onClick=${() => setDrawing(true)}>
        ${draft ? "Change the mask" : "Draw a mask"}
      </button>
      ${
        !canDraw &&
        html`<span class="quiet">${image ? "To draw on the image, upload it." : "Choose an image first."}</span>`
      }
    </div>`
    }
    ${
      drawing &&
      html`<${MaskDialog}
      image=${image.url}
      mask=${draft?.url}
      onDone=${(url) => {
        onDraft({ url, name: "mask.png" });
        setDrawing(false);
      }}
      onClose=${() => setDrawing(false)}
    />`
    }
  </div>`;
}

export function FilesWidget({ field, draft = [], aria, onDraft }) {
  return html`<div>
    <div class="files">
      ${draft.map(
        (file, place) => html`<${Chosen} key=${place} file=${file} label=${`${field.label} ${place + 1}`}
          onRemove=${() => onDraft(draft.toSpliced(place, 1))} />`,
      )}
    </div>
    <${Drop} field=${field} aria=${aria} several onFiles=${(files) => onDraft((before = []) => [...before, ...files])} />
  </div>`;
}

function Chosen({ file, label, onRemove }) {
  const isPicture = mediaType(file.url).startsWith("image/");
  const [shown, setShown] = useState(true);
  // Of an address elsewhere there is no preview: this page asks no other host for anything.
  return html`<figure class="chosen">
    ${
      isPicture && shown && file.url.startsWith("data:")
        ? html`<img src=${file.url} alt=${`${label}: ${file.name}`} onError=${() => setShown(false)} />`
        : html`<span class="file-icon" aria-hidden="true">${mediaType(file.url).split("/").pop()}</span>`
    }
    <figcaption>
      <span class="file-name">${file.name}</span>
      <span class="quiet">${sizeOf(file.url) || "fetched by the server"}</span>
    </figcaption>
    <button type="button" class="plain" onClick=${onRemove}>Remove<span class="unseen"> ${label}</span></button>
  </figure>`;
}

function Drop({ field, aria, several = false, onFiles }) {
  const [over, setOver] = useState(false);
  const [problem, setProblem] = useState("");
  const address = useRef(null);
  const take = async (list) => {
    try {
      const files = await Promise.all([...list].slice(0, several ? undefined : 1).map(readFile));
      if (files.length) onFiles(files);
    } catch (error) {
      setProblem(error.message);
    }
  };
  const takeAddress = () => {
    const url = address.current.value.trim();
    if (!url) return;
    if (!/^(https?:\/\/|data:)/.test(url)) return setProblem("A URL begins with https:// or http://.");
    address.current.value = "";
    onFiles([fileAt(url)]);
  };
  return html`<div
    class=${`drop${over ? " over" : ""}`}
    onDragOver=${(event) => {
      event.preventDefault();
      setOver(true);
    }}
    onDragLeave=${() => setOver(false)}
    onDrop=${(event) => {
      event.preventDefault();
      setOver(false);
      take(event.dataTransfer.files);
    }}
    onPaste=${(event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      // The page's own handler is for what is pasted nowhere in particular.
      event.stopPropagation();
      take(event.clipboardData.files);
    }}
  >
    <label class="button pick">
      Choose ${several ? "files" : "a file"}<span class="unseen"> for ${field.label}</span>
      <input ...${aria} type="file" class="unseen" multiple=${several} accept=${acceptOf(field)}
        onChange=${(event) => take(event.currentTarget.files)} />
    </label>
    <span class="quiet">or drop or paste ${several ? "them" : "it"} here, or give a URL</span>
    <input
      ref=${address}
      type="url"
      placeholder="https://"
      aria-label=${`URL of ${field.label}`}
      onChange=${takeAddress}
      onKeyDown=${(event) => {
        if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
          event.preventDefault();
          takeAddress();
        }
      }}
    />
    ${problem && html`<p class="error" role="alert">${problem}</p>`}
  </div>`;
}

function acceptOf(field) {
  return field.accept ?? (/(^|_)(image|images|mask|picture|photo)($|_)/.test(field.name) ? "image/*" : undefined);
}
