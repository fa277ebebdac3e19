// The live tail: events as they are sent in.

import { errorsElsewhere, stream } from "../parts/api.js";
import { FormErrors } from "../parts/controls.js";
import { EventRows } from "../parts/event-rows.js";
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { customerQuery, metadataPairs } from "../parts/selection.js";
import { Empty, Loaded } from "../parts/states.js";

/**
 * The stream's query. It has no `metadata[…]`, but a filter: a property is a text, a number or a
 * boolean that reads like that. Answers null if a filter cannot say it.
 */
function liveQuery(params) {
  const clauses = params.source ? [{ property: "source", operator: "eq", value: params.source }] : [];
  for (const [property, text] of metadataPairs(params.metadata)) {
    // A filter takes a dot for a step into an object, and these for the event's own fields.
    if (property.includes(".") || ["name", "source", "timestamp"].includes(property)) return null;
    const values = [text];
    if (/^-?\d{1,9}$/.test(text)) values.push(Number(text));
    if (text === "true" || text === "false") values.push(text === "true");
    clauses.push({ conjunction: "or", clauses: values.map((value) => ({ property, operator: "eq", value })) });
  }
  const filter = clauses.length > 0 ? JSON.stringify({ conjunction: "and", clauses }) : undefined;
  return { name: params.name, ...customerQuery(params.customer), meter_id: params.meter, filter };
}

const SHOWN_MAX = 100;
const SHOW_EVERY_MS = 200;

/** Events as they come in. When the stream breaks off, it goes on after the last one seen. */
export function Live({ params }) {
  const [state, setState] = useState({ status: "connecting", error: null, items: [], count: 0 });
  const [paused, setPaused] = useState(false);
  const pausedNow = useRef(false);
  const waiting = useRef([]);
  pausedNow.current = paused;

  useEffect(() => {
    const controller = new AbortController();
    let lastId;
    let passedOver = 0;
    const show = () => {
      if (pausedNow.current || waiting.current.length === 0) return;
      const fresh = waiting.current.reverse();
      const came = fresh.length + passedOver;
      waiting.current = [];
      passedOver = 0;
      setState((old) => ({ ...old, count: old.count + came, items: [...fresh, ...old.items].slice(0, SHOWN_MAX) }));
    };
    // Often, so that each time there is little to draw.
    const timer = setInterval(show, SHOW_EVERY_MS);
    const onEvent = (event) => {
      waiting.current.push(event);
      // While it is paused only the newest are kept.
      if (waiting.current.length > 10 * SHOWN_MAX) {
        passedOver += waiting.current.splice(0, waiting.current.length - SHOWN_MAX).length;
      }
    };
    const query = liveQuery(params);
    (async () => {
      if (query === null) {
        const details = [{ loc: [], msg: "Live, events cannot be found by this property. The list can." }];
        setState((old) => ({ ...old, status: "refused", error: { kind: "invalid", message: details[0].msg, details } }));
        return;
      }
      for (let attempts = 0; !controller.signal.aborted; attempts++) {
        const error = await stream("/v1/event-stream", query, {
          signal: controller.signal,
          lastId,
          onOpen: () => {
            attempts = 0;
            setState((old) => ({ ...old, status: "live", error: null }));
          },
          onEvent,
          onId: (id) => (lastId = id),
        });
        if (controller.signal.aborted) return;
        const lasting = error && !["network", "busy", "server"].includes(error.kind);
        setState((old) => ({ ...old, status: lasting ? "refused" : "waiting", error }));
        if (lasting) return;
        await new Promise((resolve) => setTimeout(resolve, Math.min(15_000, 500 * 2 ** attempts)));
      }
    })();
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, []);

  if (state.status === "refused") {
    if (state.error.kind === "invalid") return html`<${FormErrors} messages=${errorsElsewhere(state.error, [])} />`;
    const data = { value: undefined, error: state.error, loading: false };
    return html`<${Loaded} data=${data} missing="This server is older than this page and has no stream of events. The list without “Live” shows them." />`;
  }
  const words = { connecting: "Connecting…", live: "Live: events show as they come in.", waiting: "The stream broke off. Trying again…" };
  return html`
    <div class="live-head">
      <p role="status" data-test="live">${words[state.status]}</p>
      <p class="muted">${state.count.toLocaleString()} since you opened this</p>
      <button type="button" class="small" aria-pressed=${paused} onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
    </div>
    ${state.items.length === 0
      ? html`<${Empty} title="Waiting for events"><p>Send one, and it shows here.</p><//>`
      : html`<${EventRows} items=${state.items} />`}`;
}

