// A value that views watch: what is shared by the whole page (session, route, connection).

import { useEffect, useState } from "./html.js";

export function cell(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const watcher of [...watchers]) watcher();
    },
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** The value, and the view is drawn again when it changes. */
export function useCell(watched) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const seen = watched.get();
    const stop = watched.watch(() => redraw((count) => count + 1));
    if (!Object.is(seen, watched.get())) redraw((count) => count + 1);
    return stop;
  }, [watched]);
  return watched.get();
}
