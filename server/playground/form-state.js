// What stands in the form. What the user did is kept apart from what the model and the link say, so that neither takes
// anything from the user, however late it comes.

import { useEffect, useMemo, useState } from "./html.js";
import { linkedInput } from "./link.js";
import { buildInput, draftOf, misfits } from "./request.js";

/**
 * @param {Array} fields of the model; what stands in one that is not among them now is kept for when it is again
 * @returns {object} drafts and errors by the name of the field, what `buildInput` makes of the drafts as `built`, the
 *   names of what was to be filled in and could not as `left`, and what changes all that: `setDraft(field, next)`,
 *   where `next` is a draft or a function of the one before, `fill(input)`, `offer(input)`, which fills in a form that
 *   nothing was done to, and `setErrors(errors)`
 */
export function useForm(fields) {
  const [state, setState] = useState(() => ({ given: linkedInput() ?? {}, own: {} }));
  const [errors, setErrors] = useState({});
  const drafts = useMemo(() => Object.fromEntries(fields.map((field) => [field.name, draftIn(state, field)])), [
    fields,
    state,
  ]);
  const built = useMemo(() => buildInput(fields, drafts), [fields, drafts]);

  const left = useMemo(() => (fields.length ? misfits(fields, state.given) : []), [fields, state.given]);

  const setDraft = (field, next) => {
    setState((before) => {
      const draft = typeof next === "function" ? next(draftIn(before, field)) : next;
      return { ...before, own: { ...before.own, [field.name]: { kind: field.kind, draft } } };
    });
    setErrors(({ [field.name]: _, ...others }) => others);
  };
  const fill = (input) => {
    setState({ given: input, own: {} });
    setErrors({});
  };
  const offer = (input) => {
    const isUntouched = ({ given, own }) => !Object.keys(given).length && !Object.keys(own).length;
    setState((before) => (isUntouched(before) ? { given: input, own: {} } : before));
  };
  useEffect(() => {
    const onHashChange = () => linkedInput() && fill(linkedInput());
    addEventListener("hashchange", onHashChange);
    return () => removeEventListener("hashchange", onHashChange);
  }, []);
  return { drafts, errors, built, left, setDraft, fill, offer, setErrors };
}

function draftIn({ given, own }, field) {
  const mine = own[field.name];
  // After a setup the model may take something else under the same name.
  return mine?.kind === field.kind ? mine.draft : draftOf(field, Object.hasOwn(given, field.name) ? given[field.name] : undefined);
}
