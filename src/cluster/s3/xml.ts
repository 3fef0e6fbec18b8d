/** The largest response that is read as XML, in bytes: 1,000 keys of a listing have 1,024 bytes each at most. */
export const MAX_XML_BYTES = 4 * 1024 * 1024;

/** S3 lists and deletes so many objects at once. */
const MAX_ELEMENTS = 1000;

/** Keys have 1,024 bytes at most, each of which may be written as an entity; in characters. */
const MAX_TEXT = 16 * 1024;

const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  amp: "&",
  quot: '"',
  apos: "'",
};

/**
 * The contents of all elements of a name, as they are written, in order. S3 and STS send elements without
 * attributes that contain none of their own name, which is all of XML that this understands: of anything else
 * there is no element.
 *
 * @param limit the most that are looked for
 */
export function elementsOf(xml: string, name: string, limit: number = MAX_ELEMENTS): string[] {
  const found: string[] = [];
  const [open, close] = [`<${name}>`, `</${name}>`];
  for (let at = xml.indexOf(open); at >= 0 && found.length < limit; at = xml.indexOf(open, at)) {
    const end = xml.indexOf(close, at);
    if (end < 0) break;
    found.push(xml.slice(at + open.length, end));
    at = end + close.length;
  }
  return found;
}

/** The text of the first element of a name; `undefined` if there is none, or one that is far too long. */
export function textOf(xml: string, name: string): string | undefined {
  const open = `<${name}>`;
  const at = xml.indexOf(open);
  const end = at < 0 ? -1 : xml.indexOf(`</${name}>`, at);
  const start = at + open.length;
  return end < 0 || end - start > MAX_TEXT ? undefined : decode(xml.slice(start, end));
}

export function encodeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function decode(text: string): string {
  return text.replaceAll(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (all, hex, dec, name) => {
    if (typeof name === "string") return ENTITIES[name] ?? all;
    const code = typeof hex === "string" ? Number.parseInt(hex, 16) : Number(dec);
    return code <= 0x10_ff_ff ? String.fromCodePoint(code) : all;
  });
}
