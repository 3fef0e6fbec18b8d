import { setImmediate } from "node:timers/promises";

/** Elements are parsed in batches of about this many characters. */
const BATCH = 32 * 1024;
/** How many characters are scanned before other work may run. */
const SCAN = 64 * 1024;
/** The largest single element, in characters: parsing one cannot be interrupted. */
const MAX_ELEMENT = 1024 * 1024;
/** JSON.parse takes ten times as long for brackets in brackets as for anything else. */
const MAX_DEPTH = 64;
/** How long the work may block the event loop, in milliseconds. */
const MAX_BLOCKING_MS = 2;

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Parses the elements of one long array in a JSON object, in batches between which other work runs:
 * `JSON.parse` would block the event loop for 20 ms on 200,000 tags. Other members are skipped, and
 * only checked to have matching brackets.
 *
 * @param key the array's name, at the top level of the object
 * @param take receives the elements in order, batch by batch
 * @returns whether the member is an array, another value, or is missing
 * @throws SyntaxError if the text is no JSON object, is nested too deeply, or has an element of more
 *   than a million characters
 */
export function eachElement(
  text: string,
  key: string,
  take: (elements: readonly unknown[]) => void,
): Promise<"array" | "other" | "null" | "missing"> {
  return eachBatch(text, key, (start, end) => {
    const batch: unknown = JSON.parse(`[${text.slice(start, end)}]`);
    // Text in brackets is an array, or JSON.parse throws.
    take(batch as unknown[]);
  });
}

/**
 * Checks that `JSON.parse` of a text cannot take long, other than by its length.
 *
 * @throws SyntaxError as `eachElement` does
 */
export async function checkNesting(text: string): Promise<void> {
  await eachBatch(text, undefined, () => {});
}

/**
 * As `eachElement`, without parsing: finds where batches of whole elements begin and end.
 *
 * @param take receives the positions of a batch's text: from `start`, inclusive, to `end`, exclusive
 */
export async function eachBatch(
  text: string,
  key: string | undefined,
  take: (start: number, end: number) => void,
): Promise<"array" | "other" | "null" | "missing"> {
  let found: "array" | "other" | "null" | "missing" = "missing";
  let depth = 0;
  /** Where the latest string at the top level begins and ends, which may turn out to be a key. */
  let [stringStart, stringEnd] = [0, 0];
  /** Where the value of the wanted key begins, or where the current batch does; -1 outside of it. */
  let [valueStart, batchStart, elementStart] = [-1, -1, -1];
  let blockingSince = performance.now();
  let nextPause = SCAN;
  for (let at = 0; at < text.length; at += 1) {
    if (at >= nextPause) {
      nextPause = at + SCAN;
      if (performance.now() - blockingSince > MAX_BLOCKING_MS) {
        await setImmediate();
        blockingSince = performance.now();
      }
    }
    const character = text.charCodeAt(at);
    if (character === QUOTE) {
      const start = at;
      at = endOfString(text, at);
      if (depth === 1) [stringStart, stringEnd] = [start, at + 1];
    } else if (character === OPEN_ARRAY || character === OPEN_OBJECT) {
      if (depth === 0 && (character === OPEN_ARRAY || text.slice(0, at).trim() !== "")) {
        throw new SyntaxError("it is not a JSON object");
      }
      depth += 1;
      if (depth > MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} levels are nested`);
      if (depth === 2 && valueStart >= 0 && batchStart < 0) {
        found = character === OPEN_ARRAY ? "array" : "other";
        if (found === "array") [batchStart, elementStart] = [at + 1, at + 1];
      }
    } else if (character === CLOSE_ARRAY || character === CLOSE_OBJECT) {
      depth -= 1;
      if (depth === 1 && batchStart >= 0) {
        checkLength(elementStart, at);
        take(batchStart, at);
        [valueStart, batchStart] = [-1, -1];
      }
      if (depth <= 0) {
        if (depth < 0 || text.slice(at + 1).trim() !== "") {
          throw new SyntaxError("it is not one JSON object");
        }
        if (valueStart >= 0) found = kindOf(text.slice(valueStart, at), found);
        return found;
      }
    } else if (character === COMMA) {
      if (depth === 2 && batchStart >= 0) {
        checkLength(elementStart, at);
        elementStart = at + 1;
        if (at - batchStart >= BATCH) {
          take(batchStart, at);
          batchStart = at + 1;
        }
      } else if (depth === 1 && valueStart >= 0) {
        found = kindOf(text.slice(valueStart, at), found);
        valueStart = -1;
      }
    } else if (character === COLON && depth === 1) {
      const name: unknown = JSON.parse(text.slice(stringStart, stringEnd));
      if (name === key) {
        if (found !== "missing") throw new SyntaxError(`it has two members ${key}`);
        valueStart = at + 1;
      }
    }
  }
  throw new SyntaxError("it is not a complete JSON object");
}

/** The position of the quote that ends the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at += 1) {
    at = text.indexOf('"', at);
    if (at < 0) throw new SyntaxError("a string does not end");
    checkLength(start, at);
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes += 1;
    if (escapes % 2 === 0) return at;
  }
}

function checkLength(start: number, end: number): void {
  if (end - start > MAX_ELEMENT) throw new SyntaxError("an element is too long");
}

function kindOf<Found extends string>(value: string, found: Found): Found | "null" | "other" {
  if (found !== "missing") return found;
  return value.trim() === "null" ? "null" : "other";
}
