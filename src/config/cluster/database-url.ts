import type { DatabaseSettings, DatabaseTls } from "../database-settings.ts";

const DEFAULT_PORT = 5432;

/** What `sslmode` asks for, in the words of PostgreSQL's own clients. */
const MODES: ReadonlyMap<string, DatabaseTls["verify"] | "none"> = new Map([
  ["disable", "none"],
  ["require", "nothing"],
  ["verify-ca", "authority"],
  ["verify-full", "full"],
]);

/**
 * Parses `postgres://user:password@host:port/database?sslmode=verify-full`. Without `sslmode`, the server's
 * certificate is checked if there is a CA for it, and there is no TLS otherwise.
 *
 * @param ca CA certificates, as PEM text
 * @returns what is wrong, which does not have the password, if it is not such a URL
 */
export function parseDatabaseUrl(text: string, ca?: string): DatabaseSettings | string {
  const url = URL.parse(text.trim());
  if (!url) return "is not a URL such as postgres://user:password@host:5432/database";
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:")
    return `begins with ${url.protocol} instead of postgres:`;
  const parameters = new Map(url.searchParams);
  const mode = parameters.get("sslmode");
  parameters.delete("sslmode");
  const [unknown] = parameters.keys();
  if (unknown !== undefined) return `has the parameter ${unknown}: only sslmode is supported`;
  const verify = mode === undefined ? (ca === undefined ? "none" : "full") : MODES.get(mode);
  if (verify === undefined)
    return `has the sslmode ${mode}: use ${[...MODES.keys()]
      .join(", ")
      .replace(/, ([^,]*)$/, " or $1")}`;
  if (verify === "none" && ca !== undefined)
    return "has sslmode=disable, with which the CA is not used: remove one of them";
  const [user, password, database] = [url.username, url.password, url.pathname.slice(1)].map(
    decoded,
  );
  if (user === undefined || password === undefined || database === undefined)
    return "has a % that is not followed by two hexadecimal digits: write it as %25";
  if (url.hostname === "") return "names no host";
  if (user === "") return "names no user";
  if (database === "" || database.includes("/")) return "names no database after the host";
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? DEFAULT_PORT : Number(url.port),
    user,
    password,
    database,
    // As PostgreSQL's own clients do: a CA that is given is one to check.
    tls: verify === "none" ? "none" : tls(verify, ca),
  };
}

function tls(verify: DatabaseTls["verify"], ca: string | undefined): DatabaseTls {
  if (ca === undefined) return { verify };
  return { ca, verify: verify === "nothing" ? "authority" : verify };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
