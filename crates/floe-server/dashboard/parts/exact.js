// JSON whose numbers keep their digits: an integer of more digits than a JavaScript number has
// stays the text that it was.

export class BigInteger {
  constructor(text) {
    this.text = text;
  }
  toString() {
    return this.text;
  }
  toJSON() {
    return JSON.rawJSON?.(this.text) ?? this.text;
  }
}

/** The value of a JSON text, or the text if it is none. */
export function readJson(text) {
  if (text === "") return null;
  try {
    return JSON.parse(text, (_, value, context) =>
      Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
        ? new BigInteger(context.source)
        : value,
    );
  } catch {
    return text;
  }
}

export const isNumber = (value) => typeof value === "number" || value instanceof BigInteger;

/** As a number to reckon and to draw with; null stays null. */
export const plainNumber = (value) => (value === null || value === undefined ? null : Number(value));
