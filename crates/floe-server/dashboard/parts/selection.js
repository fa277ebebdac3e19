// Filters that people type in, as the API's parameters.

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whose events: an id of ours or one of the caller's. */
export function customerQuery(text) {
  if (!text) return {};
  return UUID.test(text) ? { customer_id: text } : { external_customer_id: text };
}

/** `plan=pro&region=eu` as the API's filter of metadata. */
export function metadataQuery(text) {
  const query = {};
  for (const [key, value] of new URLSearchParams(text ?? "")) {
    (query[`metadata[${key}]`] ??= []).push(value);
  }
  return query;
}

/** What is wrong with such a text, if anything. */
export function metadataError(text) {
  const isWhole = [...new URLSearchParams(text ?? "")].every(([key, value]) => key !== "" && value !== "");
  return isWhole ? undefined : "Write key=value.";
}
