// The model, as the server describes it.

import { useEffect, useMemo, useState } from "./html.js";
import { request, Unauthorized } from "./api.js";
import { isReady } from "./health.js";
import { readModel } from "./schema.js";

const BETWEEN_QUESTIONS = 1000;

/**
 * [model, ask]: null until it is set up, since what it takes is known only then, and read again after each setup; and
 * what asks at once. A description that cannot be read throws where it is drawn.
 */
export function useModel(health, onError) {
  const [document, setDocument] = useState(null);
  const [asked, setAsked] = useState(0);
  const askNow = () => setAsked((times) => times + 1);
  const setUp = isReady(health) ? health.setup.completed_at : undefined;
  useEffect(() => {
    if (!setUp) return undefined;
    const asking = new AbortController();
    let timer;
    request("openapi.json", { signal: asking.signal })
      .then(async (response) => setDocument(await response.json()))
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
  return [useMemo(() => document && readModel(document), [document]), askNow];
}
