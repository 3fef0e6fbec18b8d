import type { Credentials, HelperCredentials } from "../../config/settings.ts";
import { parseObject } from "../transport/json.ts";

/** In milliseconds: below the patience of who waits for an answer. */
const DEADLINE = 8000;
/** In bytes. Tokens have a few KiB. */
const MAX_OUTPUT = 64 * 1024;
/** For secrets that do not tell when they end, in milliseconds. */
const LIFETIME = 15 * 60_000;
/** They are renewed this long before their end, in milliseconds. */
const EARLY = 60_000;

export interface HelperOptions {
  /** In milliseconds. */
  readonly helperDeadline?: number;
}

/** Why a credential helper gave nothing; its message goes behind the helper's name. */
export class HelperError extends Error {
  override readonly name = "HelperError";
}

export interface HelperAnswer {
  /** Absent where the helper has none for this registry. */
  readonly credentials: Credentials | undefined;
  /** In milliseconds from now. */
  readonly lifetime: number;
}

/**
 * Runs `docker-credential-<helper> get`: the server goes to its standard input, a JSON object comes
 * back (github.com/docker/docker-credential-helpers).
 *
 * @throws HelperError
 */
export async function runCredentialHelper(
  { helper, server }: HelperCredentials,
  { helperDeadline = DEADLINE }: HelperOptions = {},
): Promise<HelperAnswer> {
  const { code, output } = await run(`docker-credential-${helper}`, server, helperDeadline);
  const text = output.trim();
  if (code !== 0) {
    if (/credentials not found/i.test(text)) return { credentials: undefined, lifetime: LIFETIME };
    throw new HelperError(`ended with exit code ${code}`);
  }
  const answer = parseObject(new TextEncoder().encode(text));
  const [username, password] = [answer?.["Username"], answer?.["Secret"]];
  // What it printed may be a secret in another form: it is not shown.
  if (typeof username !== "string" || typeof password !== "string" || password === "") {
    throw new HelperError("printed no JSON object with Username and Secret");
  }
  return { credentials: { username, password }, lifetime: lifetimeOf(password) };
}

async function run(
  program: string,
  input: string,
  deadline: number,
): Promise<{ code: number; output: string }> {
  let child: Bun.Subprocess<"pipe", "pipe", "ignore">;
  try {
    child = Bun.spawn([program, "get"], { stdin: "pipe", stdout: "pipe", stderr: "ignore" });
  } catch (cause) {
    throw new HelperError("cannot be started: is it in PATH?", { cause });
  }
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new HelperError(`did not answer within ${deadline / 1000} s`));
  }, deadline);
  try {
    // A helper that never reads has closed its end: what it prints, or its exit code, tells why.
    const sent = (async () => {
      await child.stdin.write(`${input}\n`);
      await child.stdin.end();
    })().catch(() => {});
    const work = Promise.all([child.exited, readAll(child.stdout), sent]);
    work.catch(() => {});
    const [code, output] = await Promise.race([work, late.promise]);
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

/** Until shortly before a token's end, where it tells it: JWTs do (`exp`), and so do ECR's (`expiration`). */
function lifetimeOf(secret: string): number {
  const parts = secret.split(".");
  const encoded = parts.length === 3 ? parts[1] : secret;
  const claims = parseObject(Buffer.from(encoded ?? "", "base64"));
  const end = claims?.["exp"] ?? claims?.["expiration"];
  if (typeof end !== "number") return LIFETIME;
  return Math.max(end * 1000 - Date.now() - EARLY, 1000);
}
