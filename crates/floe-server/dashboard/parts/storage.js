// The browser's storage, which it may refuse; then what is kept lasts as long as the page.

function guarded(storageOf) {
  const attempt = (action) => {
    try {
      return action(storageOf()) ?? null;
    } catch {
      return null;
    }
  };
  return {
    get: (key) => attempt((storage) => storage.getItem(key)),
    set: (key, value) => attempt((storage) => storage.setItem(key, value)),
    remove: (key) => attempt((storage) => storage.removeItem(key)),
  };
}

/** Until the tab is closed. */
export const ofTab = guarded(() => sessionStorage);
/** For good, in this browser. */
export const ofBrowser = guarded(() => localStorage);
