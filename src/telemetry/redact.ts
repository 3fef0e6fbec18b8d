const HIDDEN = "[redacted]";

/** Query parameters of the registry's own API, which are no secrets and tell what was asked. */
const KNOWN_PARAMETER = /^(?:ns|n|last|artifactType|service|scope)=[\w.:/%+,-]{0,256}$/;

/** An address or request target without credentials, fragment, and parameters that could be secrets. */
export function redactUrl(url: string | URL): string {
  const text = String(url).replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1");
  const [target = "", ...rest] = text.split("#", 1)[0]?.split("?") ?? [];
  if (rest.length === 0) return target;
  const parameters = rest.join("?").split("&");
  const shown = parameters.filter((parameter) => KNOWN_PARAMETER.test(parameter));
  if (shown.length < parameters.length) shown.push(HIDDEN);
  return `${target}?${shown.join("&")}`;
}

/** All that the expressions below need; most lines have none of it, and are done. */
const SUSPICIOUS = /\?|:\/\/|password|secret|token|authorization|cookie|bearer|basic/i;

const SECRET_FIELD =
  /"((?:proxy-)?authorization|\w*password|\w*secret|(?:\w+[_-])?token|(?:set-)?cookie)":(?:"(?:[^"\\]|\\.)*"|\d+)/gi;
// A URL ends where a quote or an escape of the JSON around it begins.
const URL_INSIDE = /\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>\\]+/gi;
const TARGET_INSIDE = /(?<=")\/[^\s"\\?]*\?[^\s"\\]*(?=")/g;
const CREDENTIAL_INSIDE = /\b(bearer|basic) +(?=\S*[\d=])[\w.~+/=-]{8,}/gi;

/**
 * A log's line without secrets, wherever in it they are: in fields that are named so, at any depth,
 * and in the URLs and credentials that messages and stacks of errors carry.
 *
 * It works on the finished JSON, since that is the one place that every field, binding and message
 * passes; each replacement leaves valid JSON.
 */
export function redactLine(json: string): string {
  if (!SUSPICIOUS.test(json)) return json;
  return json
    .replaceAll(SECRET_FIELD, `"$1":"${HIDDEN}"`)
    .replaceAll(URL_INSIDE, (url) => redactUrl(url))
    .replaceAll(TARGET_INSIDE, (target) => redactUrl(target))
    .replaceAll(CREDENTIAL_INSIDE, `$1 ${HIDDEN}`);
}
