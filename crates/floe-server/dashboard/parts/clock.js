// What time it is for the server. A viewer's clock may be wrong by hours, and "the last minute"
// or "today" would then be another one than the server's.

/** Milliseconds between the clocks that are put down to the way of an answer. */
const SLACK_MS = 5000;

let ahead = 0;

export const now = () => Date.now() + ahead;

/** Takes note of an answer's `Date`, and of when it was asked for and came. */
export function noteTime(header, askedAt, cameAt) {
  const told = Date.parse(header ?? "");
  if (Number.isNaN(told)) return;
  // The server wrote whole seconds, at some time between the two.
  const isBetween = told > askedAt - SLACK_MS && told < cameAt + SLACK_MS;
  ahead = isBetween ? 0 : told - cameAt;
}
