// Filters that people type in, as the API's parameters.

/** An id of ours is of version 4. */
const OWN_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** Whose events: an id of ours or one of the caller's, which may look like ours. The API adds up. */
export function customerQuery(text) {
  if (!text) return {};
  return { external_customer_id: text, customer_id: OWN_ID.test(text) ? text : undefined };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** `plan=pro&region=eu` as pairs; `%26` is an `&` in a value, and `+` is a plus. */
export function metadataPairs(text) {
  const parts = (text ?? "").split("&").filter((part) => part.trim() !== "");
  return parts.map((part) => {
    const at = part.indexOf("=");
    return at < 0 ? [part, ""] : [decoded(part.slice(0, at).trim()), decoded(part.slice(at + 1))];
  });
}

/** Such a text as the API's filter of metadata. */
export function metadataQuery(text) {
  const query = {};
  for (const [key, value] of metadataPairs(text)) {
    (query[`metadata[${key}]`] ??= []).push(value);
  }
  return query;
}

/** What is wrong with such a text, if anything. */
export function metadataError(text) {
  const pairs = metadataPairs(text);
  if (!pairs.every(([key, value]) => key !== "" && value !== "")) return "Write key=value.";
  // The API takes a key up to the first of these.
  return pairs.some(([key]) => key.includes("]")) ? "Keys with ] in them cannot be asked for." : undefined;
}
