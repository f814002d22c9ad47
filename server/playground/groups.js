// Which fields stand together in the form.

import { inWords } from "./schema.js";

const FEW = 6;

/** What inputs are about, by their names and kinds; the first that fits. Shown in the order of the model. */
const TOPICS = [
  { title: "ControlNet", fits: ({ name }) => /^control_?net|^control_/.test(name) },
  { title: "LoRA", fits: ({ name }) => /(^|_)loras?(_|$)/.test(name) },
  {
    title: "Pictures to start from",
    fits: ({ name, kind }) =>
      kind === "file" || kind === "files"
        ? /(^|_)(image|images|mask|picture|pictures|photo)(_|$)/.test(name)
        : kind !== "longtext" && /^(image|mask|inpaint)_|^(prompt_)?strength$|^keep_unmasked$/.test(name),
  },
  { title: "Size", fits: ({ name }) => /^(width|height|aspect_ratio|megapixels|resolution|size|resize_mode)$/.test(name) },
  { title: "Output", fits: ({ name }) => /^output_|^(embed_metadata|disable_safety_checker|preview_interval)$/.test(name) },
];

const ON_ITS_OWN = new Set(["num", "max", "min", "use", "is", "enable", "disable", "no", "with"]);

/**
 * The fields in the groups that the form shows them in; the first, without a title, is never folded.
 *
 * A short form has that one only. Else it holds what is required, prompts and other long texts, and files of which the
 * page does not know what they are; the rest is folded by topic, then by the first word of the names, as in
 * `sampler_name` and `sampler_order`.
 */
export function groupsOf(fields) {
  if (fields.length <= FEW) return [{ title: "", fields }];
  const topics = new Map(fields.filter((field) => !field.required).map((field) => [field, topicOf(field)]));
  drop(topics, (title, members) => members.length < 2);
  const main = fields.filter((field) => field.required || (!topics.get(field) && MAIN.has(field.kind)));
  const first = main.length ? main : fields.slice(0, 1);
  const rest = fields.filter((field) => !first.includes(field));
  for (const field of rest) if (!topics.get(field)) topics.set(field, familyOf(field));
  drop(topics, (title, members) => members.filter((field) => rest.includes(field)).length < 2);
  const titles = [...new Set(rest.map((field) => topics.get(field) ?? SETTINGS))];
  return [
    { title: "", fields: first },
    ...titles.map((title) => ({ title, fields: rest.filter((field) => (topics.get(field) ?? SETTINGS) === title) })),
  ];
}

const SETTINGS = "Settings";
const MAIN = new Set(["longtext", "file", "files"]);

const topicOf = (field) => TOPICS.find((topic) => topic.fits(field))?.title;

function familyOf({ name }) {
  const [word] = name.split("_");
  return ON_ITS_OWN.has(word) ? undefined : inWords(word);
}

/** Take the title from those fields whose group is not to be. */
function drop(titles, isNot) {
  for (const title of new Set(titles.values())) {
    const members = [...titles.keys()].filter((field) => titles.get(field) === title);
    if (title && isNot(title, members)) for (const field of members) titles.delete(field);
  }
}
