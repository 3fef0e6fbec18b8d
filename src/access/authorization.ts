/** What a client presents to show who it is (RFC 7617, RFC 6750). */
export type PresentedCredentials =
  | { readonly scheme: "basic"; readonly username: string; readonly password: string }
  | { readonly scheme: "bearer"; readonly token: string };

/** The header of a request, parsed: nothing, credentials, or why it has none that can be used. */
export type Authorization =
  | { readonly kind: "none" }
  | { readonly kind: "presented"; readonly credentials: PresentedCredentials }
  | { readonly kind: "invalid"; readonly reason: string };

/** Longer headers than any token of a registry or of a cluster, in characters. */
const MAX_LENGTH = 16 * 1024;

const NONE: Authorization = { kind: "none" };

/**
 * Parses an Authorization header. Basic credentials without a user and a password are none: that is what
 * containers/image (Skopeo, Podman, CRI-O) sends where it has no credentials.
 *
 * @returns never with a part of the header in `reason`, since that is for logs
 */
export function parseAuthorization(header: string | null): Authorization {
  if (header === null || header === "") return NONE;
  if (header.length > MAX_LENGTH) {
    return invalid(`the Authorization header is longer than ${MAX_LENGTH} characters`);
  }
  const [, scheme = "", value = ""] = /^([!#$%&'*+.^_`|~\w-]+) +(.*?) *$/s.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case "basic":
      return parseBasic(value);
    case "bearer":
      // RFC 6750 section 2.1, b64token.
      if (!/^[\w.~+/-]+=*$/.test(value)) return invalid("the Bearer token is not valid");
      return { kind: "presented", credentials: { scheme: "bearer", token: value } };
    case "":
      return invalid("the Authorization header has no scheme: send Basic or Bearer");
    default:
      return invalid("the Authorization header has a scheme other than Basic and Bearer");
  }
}

function parseBasic(value: string): Authorization {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(value)) {
    return invalid("the Basic credentials are not valid Base64");
  }
  const text = decode(value);
  if (text === undefined) return invalid("the Basic credentials are not UTF-8");
  // RFC 7617 section 2: no control characters, and the first colon ends the user's name.
  // oxlint-disable-next-line no-control-regex -- these are what must not be there
  if (/[\u0000-\u001f\u007f]/.test(text)) {
    return invalid("the Basic credentials contain a control character");
  }
  const colon = text.indexOf(":");
  if (colon < 0) return invalid("the Basic credentials have no colon between user and password");
  const [username, password] = [text.slice(0, colon), text.slice(colon + 1)];
  if (username === "" && password === "") return NONE;
  return { kind: "presented", credentials: { scheme: "basic", username, password } };
}

function decode(value: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(value, "base64"));
  } catch {
    return undefined;
  }
}

function invalid(reason: string): Authorization {
  return { kind: "invalid", reason };
}
