import { secondsText } from "../../oci/seconds-text.ts";
import type { Credentials, HelperCredentials } from "../../config/settings.ts";
import { parseObject } from "../../oci/json-object.ts";

/** In milliseconds. Shorter than the request timeout, so that a pull can go on without credentials. */
const TIMEOUT = 8000;
/** In bytes. Tokens have a few KiB. */
const MAX_OUTPUT = 64 * 1024;
/** The TTL of credentials that do not state their expiry, in milliseconds. */
const DEFAULT_TTL = 15 * 60_000;
/** Credentials are renewed this long before they expire, in milliseconds. */
const RENEW_BEFORE_EXPIRY = 60_000;

export interface HelperOptions {
  /** In milliseconds. */
  readonly helperTimeout?: number;
}

/** Why a credential helper returned no credentials. The message is a predicate: the helper is its subject. */
export class HelperError extends Error {
  override readonly name = "HelperError";
}

export interface HelperResult {
  /** Absent if the helper has none for this registry. */
  readonly credentials: Credentials | undefined;
  /** How long they may be cached, in milliseconds from now. */
  readonly ttl: number;
}

/**
 * Runs a credential helper, `docker-credential-NAME get`: writes the server to its standard input and reads a JSON object
 * from its standard output (github.com/docker/docker-credential-helpers).
 *
 * @throws HelperError
 */
export async function runCredentialHelper(
  { program, server, ttl: given }: HelperCredentials,
  { helperTimeout = TIMEOUT }: HelperOptions = {},
): Promise<HelperResult> {
  const { code, output } = await run(program, server, helperTimeout);
  const text = output.trim();
  if (code !== 0) {
    if (/credentials not found/i.test(text))
      return { credentials: undefined, ttl: given ?? DEFAULT_TTL };
    throw new HelperError(`ended with exit code ${code}`);
  }
  const result = parseObject(new TextEncoder().encode(text));
  const [username, password] = [result?.["Username"], result?.["Secret"]];
  // The message leaves the output out: it may be a secret in another format.
  if (typeof username !== "string" || typeof password !== "string" || password === "") {
    throw new HelperError("printed no JSON object with Username and Secret");
  }
  return { credentials: { username, password }, ttl: ttlOf(password, given) };
}

async function run(
  program: string,
  input: string,
  timeout: number,
): Promise<{ code: number; output: string }> {
  let child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  try {
    child = Bun.spawn([program, "get"], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "no code";
    const why = code === "ENOENT" ? ": is it in PATH?" : ` (${code})`;
    throw new HelperError(`cannot be started${why}`, { cause });
  }
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    timedOut.reject(new HelperError(`did not finish within ${secondsText(timeout / 1000)}`));
  }, timeout);
  try {
    // A helper that exits without reading closes the pipe: its output or exit code says why.
    const written = (async () => {
      await child.stdin.write(`${input}\n`);
      await child.stdin.end();
    })().catch(() => {});
    const finished = Promise.all([child.exited, readAll(child.stdout), written]);
    finished.catch(() => {});
    const [code, output] = await Promise.race([finished, timedOut.promise]);
    return { code, output };
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_OUTPUT) throw new HelperError(`printed more than ${MAX_OUTPUT} bytes`);
  }
  return text;
}

/** From a token's own expiry, if it states one: JWTs do (`exp`), and so do ECR's (`expiration`). */
function ttlOf(secret: string, given = Infinity): number {
  const parts = secret.split(".");
  const encoded = parts.length === 3 ? parts[1] : secret;
  const claims = parseObject(Buffer.from(encoded ?? "", "base64"));
  const expiry = claims?.["exp"] ?? claims?.["expiration"];
  if (typeof expiry !== "number") return Number.isFinite(given) ? given : DEFAULT_TTL;
  return Math.min(Math.max(expiry * 1000 - Date.now() - RENEW_BEFORE_EXPIRY, 1000), given);
}
