// What this browser runs and ran: the one that the page shows, and what is kept of all of them.

import { useEffect, useRef, useState } from "./html.js";
import { Unauthorized } from "./api.js";
import { cancel, newRun, resume, run as runNew } from "./run.js";
import { forget, keep, kept } from "./store.js";

/** The run that this tab shows, so that it does so again when the page is loaded anew. */
const SHOWN = "darkroom-shown";

/**
 * @param {object} props
 * @param {Function} props.onFound called with one that was begun before the page was loaded, and is shown again
 * @param {Function} props.onEnded called with the last state of the one shown
 * @param {Function} props.onError
 */
export function useRuns({ onFound, onEnded, onError }) {
  const [run, setRun] = useState(null);
  const [entries, setEntries] = useState([]);
  const following = useRef(null);

  /** Show one and follow it, which `steps` does, to its end. */
  const show = async (entry, steps) => {
    following.current?.abort();
    const { signal } = (following.current = new AbortController());
    sessionStorage.setItem(SHOWN, entry.id);
    const noted = keep(entry);
    noted.then(setEntries);
    try {
      const ended = await steps(setRun, signal);
      await noted;
      if (ended.phase !== "ended" || signal.aborted) return;
      setEntries(await (ended.status === "refused" ? forget(entry.id) : keep({ ...settled(ended), ...entry })));
      onEnded(ended);
    } catch (error) {
      setRun(null);
      onError(error);
      if (!(error instanceof Unauthorized)) throw error;
    }
  };

  /** Run it; `shared` is the input as it may be kept, `extra` what the page adds to it. */
  const start = (path, input, shared, extra) => {
    const begun = { ...newRun(input), path };
    return show({ ...begun, input: shared }, (tell, signal) => runNew(path, begun, extra, tell, signal));
  };

  const stop = async () => {
    try {
      await cancel(run.path, run.id);
    } catch {
      // Nobody hears it; so it is given up.
      following.current.abort();
      setRun((last) => ({ ...last, phase: "ended", status: "canceled", endedAt: Date.now() }));
    }
  };

  /** Show one that is kept. */
  const open = (entry) =>
    entry.status
      ? setRun({ ...entry, phase: "ended", chunks: [], previews: {} })
      : show(entry, (tell, signal) => resume(entry.path, entry, tell, signal));

  useEffect(() => {
    const leaving = new AbortController();
    kept().then((all) => {
      setEntries(all);
      for (const entry of all.filter((one) => !one.status)) {
        if (entry.id === sessionStorage.getItem(SHOWN)) {
          onFound(entry);
          open(entry);
        } else settle(entry, leaving.signal).then((rest) => rest && setEntries(rest), onError);
      }
    });
    return () => leaving.abort();
  }, []);

  return { run, entries, start, stop, open, forget: async (id) => setEntries(await forget(id)) };
}

/** Note the end of one that was begun elsewhere: on a page that was closed, or in another tab. */
async function settle(entry, signal) {
  const ended = await resume(entry.path, entry, () => {}, signal);
  return ended.phase === "ended" ? keep({ ...settled(ended), ...entry }) : undefined;
}

function settled({ status, output, error, logs, metrics, endedAt }) {
  return { status, output, error, logs, metrics, endedAt };
}
