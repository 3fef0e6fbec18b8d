/** The largest response that is read as XML, in bytes: 1,000 keys of a listing have 1,024 bytes each at most. */
export const MAX_XML_BYTES = 4 * 1024 * 1024;

/** S3 lists and deletes so many objects at once. */
const MAX_ELEMENTS = 1000;

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

export function encodeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
