// Markup in plain JavaScript, and the hooks of views, from one place.
// Whatever stands in `${…}` becomes text or a property, never markup.

import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { render } from "../vendor/preact.js";
export {
  useEffect,
  useErrorBoundary,
  useId,
  useMemo,
  useRef,
  useState,
} from "../vendor/preact-hooks.js";

export const html = htm.bind(h);

/** A view that is drawn again only when one of its properties is another. */
export function steady(view) {
  return function Steady(properties) {
    this.shouldComponentUpdate = (next) => Object.keys(next).some((key) => next[key] !== this.props[key]);
    return h(view, properties);
  };
}
