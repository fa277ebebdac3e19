// Events whose numbers the tests know by themselves: 40 days of chats and images.

const DAY = 86_400_000;
const HOUR = 3_600_000;

/** Numbers that look random and are the same each time. */
export function numbers(seed) {
  let state = seed;
  return (most) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor(state / 65536) % most;
  };
}

export const PEOPLE = ["ada", "grace", "linus", "radia"];

/** Chats with tokens, images with seconds; the last ones a few minutes ago. */
export function events(now = Date.now()) {
  const next = numbers(42);
  const all = [];
  for (let day = 39; day >= 0; day--) {
    for (let count = 6 + next(16); count > 0; count--) {
      const at = now - day * DAY - next(22) * HOUR - 5 * 60_000 - count;
      const isChat = next(10) < 7;
      all.push({
        name: isChat ? "chat" : "image",
        external_customer_id: PEOPLE[next(PEOPLE.length)],
        external_id: `event-${all.length}`,
        timestamp: new Date(at).toISOString(),
        metadata: isChat
          ? { tokens: 10 + next(900), model: next(2) === 0 ? "small" : "large", cached: next(2) === 0 }
          : { seconds: next(90) / 10, model: "vision" },
      });
    }
  }
  return all;
}

/** The beginning of a day in Berlin, `back` days before that of `now`. */
export function dayInBerlin(now, back = 0) {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Berlin", dateStyle: "short" });
  const [year, month, day] = format.format(now).split("-").map(Number);
  const noon = Date.UTC(year, month - 1, day - back, 12);
  const parts = new Intl.DateTimeFormat("en-US", { timeZone: "Europe/Berlin", timeZoneName: "shortOffset" });
  const ahead = (instant) => {
    const name = parts.formatToParts(instant).find(({ type }) => type === "timeZoneName").value;
    return Number(name.replace("GMT", "") || 0) * HOUR;
  };
  // Clocks in Berlin change at 1:00 UTC, so the offset at midnight is that of the hours before.
  const midnight = noon - 12 * HOUR;
  return midnight - ahead(midnight - 2 * HOUR);
}

export const named = (name) => ({ conjunction: "and", clauses: [{ property: "name", operator: "eq", value: name }] });

/** An organization with customers (all but radia), events and meters. */
export async function fill(server, slug) {
  const api = await server.organization(slug);
  const sent = events();
  await api.post("/v1/events/ingest", { events: sent });
  const customers = {};
  for (const id of PEOPLE.slice(0, 3)) {
    const name = id[0].toUpperCase() + id.slice(1);
    customers[id] = await api.post("/v1/customers/", { email: `${id}@example.com`, name, external_id: id });
  }
  const meters = {
    tokens: { name: "Tokens", unit: "token", filter: named("chat"), aggregation: { func: "sum", property: "tokens" } },
    chats: { name: "Chats", filter: named("chat"), aggregation: { func: "count" } },
    longest: {
      name: "Longest image",
      unit: "custom",
      custom_label: "s",
      filter: named("image"),
      aggregation: { func: "max", property: "seconds" },
    },
  };
  for (const [key, body] of Object.entries(meters)) meters[key] = await api.post("/v1/meters/", body);
  return { api, sent, customers, meters };
}

/** Events of the last 30 days of Berlin, today included: what views show at first. */
export function last30Days(sent, name) {
  const start = dayInBerlin(Date.now(), 29);
  return sent.filter((event) => event.name === name && Date.parse(event.timestamp) >= start);
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);
