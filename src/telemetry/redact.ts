const REDACTED = "[redacted]";

/**
 * Query parameters of the registry API and of token endpoints that are not secret and help to read
 * the log.
 */
const PUBLIC_PARAMETER = /^(?:ns|n|last|artifactType|service|scope)=[\w.:/%+,-]{0,256}$/;

/**
 * Removes user information, the fragment and possibly secret query parameters from a URL or request
 * target.
 */
export function redactUrl(url: string | URL): string {
  const text = String(url).replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1");
  const [target = "", ...rest] = text.split("#", 1)[0]?.split("?") ?? [];
  if (rest.length === 0) return target;
  const parameters = rest.join("?").split("&");
  const shown = parameters.filter((parameter) => PUBLIC_PARAMETER.test(parameter));
  if (shown.length < parameters.length) shown.push(REDACTED);
  return `${target}?${shown.join("&")}`;
}

/** A fast pre-check: the expressions below can only match a line that matches this. */
const SUSPICIOUS = /\?|:\/\/|password|secret|token|authorization|cookie|bearer|basic/i;

const SECRET_FIELD =
  /"((?:proxy-)?authorization|\w*password|\w*secret|(?:\w+[_-])?token|(?:set-)?cookie)":(?:"(?:[^"\\]|\\.)*"|\d+)/gi;
// A URL ends at a quote or escape of the surrounding JSON. Its scheme is not matched: the search for one
// would start at every word, and read to the end of `a.a.a.` each time.
const EMBEDDED_URL = /:\/\/[^\s"'<>\\]+/g;
const EMBEDDED_TARGET = /(?<=")\/[^\s"\\?]*\?[^\s"\\]*(?=")/g;
const EMBEDDED_CREDENTIAL = /\b(bearer|basic) +(?=\S*[\d=])[\w.~+/=-]{8,}/gi;

/**
 * Redacts secrets in a JSON log line: the values of fields with secret names, at any depth, and URLs and
 * credentials inside messages and stack traces.
 *
 * It works on the serialized JSON because every field, binding and message passes through it. Each
 * replacement leaves valid JSON. It takes linear time, since clients choose what their paths and user
 * agents are.
 */
export function redactLine(json: string): string {
  if (!SUSPICIOUS.test(json)) return json;
  return json
    .replaceAll(SECRET_FIELD, `"$1":"${REDACTED}"`)
    .replaceAll(EMBEDDED_URL, (rest) => redactUrl(`x${rest}`).slice(1))
    .replaceAll(EMBEDDED_TARGET, (target) => redactUrl(target))
    .replaceAll(EMBEDDED_CREDENTIAL, `$1 ${REDACTED}`);
}
