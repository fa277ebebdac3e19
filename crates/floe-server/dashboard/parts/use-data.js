// Data of a view: loaded, kept while it is loaded anew, loaded anew when it may be old.

import { freshness } from "./api.js";
import { useCell } from "./cell.js";
import { useEffect, useRef, useState } from "./html.js";

/**
 * Calls `load(signal)` when `key` changes, when what is shown may be old, and every `every` ms
 * while the tab is seen. A view of another `key` never shows the data of the one before, unless
 * `keep` says that they are the same thing seen differently.
 *
 * Answers {value, error, loading}; `value` stays while it is loaded anew.
 */
export function useData(load, key, { every = 0, keep = false, skip = false } = {}) {
  const text = JSON.stringify(key);
  const fresh = useCell(freshness);
  const [state, setState] = useState({ key: null, value: undefined, error: null, loading: true });
  const loader = useRef(load);
  loader.current = load;

  useEffect(() => {
    if (skip) return undefined;
    const controller = new AbortController();
    let timer = 0;
    const run = async (isPolled) => {
      // What is asked again and again does not flicker each time.
      if (!isPolled) setState((old) => (old.loading ? old : { ...old, loading: true }));
      const answer = await loader.current(controller.signal);
      if (controller.signal.aborted) return;
      setState((old) => {
        if (answer.ok) return { key: text, value: answer.value, error: null, loading: false };
        // While the server is away or busy, what was known stays to be seen, and it is said so.
        const stays = ["network", "busy", "server"].includes(answer.kind) && old.key === text;
        return {
          key: text,
          value: stays ? old.value : undefined,
          error: answer,
          loading: false,
        };
      });
      if (every > 0) timer = setTimeout(again, every);
    };
    const again = () => (document.hidden ? (timer = setTimeout(again, every)) : run(true));
    run(false);
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [text, fresh, every, skip]);

  if (skip) return { value: undefined, error: null, loading: false };
  const current = state.key === text || (keep && state.key !== null);
  return current
    ? { value: state.value, error: state.error, loading: state.loading || state.key !== text }
    : { value: undefined, error: null, loading: true };
}

/** Several answers as one; the first failure is the failure of all. */
export async function together(answers) {
  const all = await Promise.all(answers);
  return all.find((answer) => !answer.ok) ?? { ok: true, value: all.map(({ value }) => value) };
}
