/** Keys have 1,024 bytes at most, each of which may be written as an entity; in characters. */
const MAX_TEXT = 16 * 1024;

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["lt", "<"],
  ["gt", ">"],
  ["amp", "&"],
  ["quot", '"'],
  ["apos", "'"],
]);

/** The text of the first element of a name; `undefined` if there is none, or one that is far too long. */
export function textOf(xml: string, name: string): string | undefined {
  const open = `<${name}>`;
  const at = xml.indexOf(open);
  const end = at < 0 ? -1 : xml.indexOf(`</${name}>`, at);
  const start = at + open.length;
  return end < 0 || end - start > MAX_TEXT ? undefined : decode(xml.slice(start, end));
}

function decode(text: string): string {
  return text.replaceAll(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+));/gi, (all, hex, dec, name) => {
    if (typeof name === "string") return ENTITIES.get(name) ?? all;
    const code = typeof hex === "string" ? Number.parseInt(hex, 16) : Number(dec);
    return code <= 0x10_ff_ff ? String.fromCodePoint(code) : all;
  });
}

/** The code of an error of S3 or STS; empty if the response has none, as that of HEAD. */
export function errorCodeOf(body: string): string {
  const code = textOf(body, "Code") ?? "";
  return /^[\w.-]{1,64}$/.test(code) ? code : "";
}
