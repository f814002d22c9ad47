// The form: one field for each input, in groups.

import { html, useEffect, useState } from "./html.js";
import { Field } from "./field.js";
import { groupsOf } from "./groups.js";
import { isChanged } from "./request.js";

/**
 * @param {object} props
 * @param {Array} props.fields those of the model
 * @param {object} props.drafts what stands in them, by name
 * @param {object} props.errors what is wrong with them, by name
 * @param {object} props.notes what was done about them in the last run, by name
 * @param {Function} props.onDraft called with a field and what stands there now, or a function of what stood there
 */
export function Form({ fields, drafts, errors, notes, onDraft }) {
  const fieldOf = (field) => html`<${Field}
    key=${field.name}
    field=${field}
    draft=${drafts[field.name]}
    error=${errors[field.name]}
    notes=${notes[field.name]}
    image=${field.name === "mask" ? pictureToMask(fields, drafts) : undefined}
    onDraft=${(next) => onDraft(field, next)}
  />`;
  if (!fields.length) return html`<p class="quiet">The model takes no inputs. Just run it.</p>`;
  return groupsOf(fields).map((group) =>
    group.title
      ? html`<${Fold} key=${group.title} group=${group} drafts=${drafts} errors=${errors}>
          ${group.fields.map(fieldOf)}
        <//>`
      : group.fields.map(fieldOf),
  );
}

function Fold({ group, drafts, errors, children }) {
  const isWrong = group.fields.some((field) => errors[field.name]);
  const changed = group.fields.filter((field) => isChanged(field, drafts[field.name])).length;
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (isWrong) setOpen(true);
  }, [isWrong]);
  return html`<details class="fold" open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
    <summary>
      <span class="fold-title">${group.title}</span>
      <span class="quiet">${changed ? `${changed} set` : group.fields.map((field) => field.label).join(", ")}</span>
    </summary>
    <div class="fold-fields">${children}</div>
  </details>`;
}

/** The draft of the picture that a mask is for; null where none is chosen yet. */
function pictureToMask(fields, drafts) {
  const image = fields.find((field) => field.name === "image" && field.kind === "file");
  return image && (drafts.image ?? null);
}
