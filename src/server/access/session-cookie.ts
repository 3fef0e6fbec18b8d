import { SESSION_MS } from "./sessions.ts";

/** With this prefix, a browser takes a cookie only over TLS, for this host alone, and for all its paths. */
const SECURE_PREFIX = "__Host-";

/** Cookies belong to a host and not to a port: two caches of one host need two names. */
function nameOf(request: Request): string {
  const { port } = new URL(request.url);
  return port === "" ? "entrepot-session" : `entrepot-session-${port}`;
}

/** Whether the browser speaks TLS: with this port, or with a proxy in front of it. */
function isOverTls(request: Request, isSecure: boolean): boolean {
  return isSecure || (request.headers.get("origin") ?? "").startsWith("https://");
}

/** The `Set-Cookie` that begins a session; without an identifier, the one that ends it. */
export function sessionCookie(request: Request, isSecure: boolean, id?: string): string {
  const isHttps = isOverTls(request, isSecure);
  const name = `${isHttps ? SECURE_PREFIX : ""}${nameOf(request)}`;
  const age = id === undefined ? 0 : SESSION_MS / 1000;
  const attributes = `Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${isHttps ? "; Secure" : ""}`;
  return `${name}=${id ?? ""}; ${attributes}`;
}

/** The identifiers of sessions that a request has. Over TLS, one that was set without it is none. */
export function sessionIds(request: Request, isSecure: boolean): string[] {
  const name = nameOf(request);
  const names = isSecure ? [SECURE_PREFIX + name] : [SECURE_PREFIX + name, name];
  const cookies = (request.headers.get("cookie") ?? "").split(";");
  return cookies.flatMap((cookie) => {
    const [key = "", ...value] = cookie.trim().split("=");
    return names.includes(key) ? [value.join("=")] : [];
  });
}
