import { z } from "zod";
import { keySetSchema, keysUrl } from "../../config/access/key-source.ts";
import type { JwtSettings, PublicKey } from "../../config/access/clients-settings.ts";
import { type ReadText, readText, UnreadableError } from "../../config/parsing/read-text.ts";
import { Fault } from "../../oci/fault.ts";
import type { Dialer } from "../../upstream/transport/dialer.ts";

/** For all requests together, in milliseconds: clients wait for it. */
const TIMEOUT_MS = 5000;
const MAX_BYTES = 256 * 1024;
const MAX_TOKEN_BYTES = 64 * 1024;

/** The keys of an issuer cannot be had. The message says why. */
export class KeysUnavailableError extends Error {
  override readonly name = "KeysUnavailableError";
}

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/**
 * Fetches the public keys of an issuer. Redirects are not followed: they would get the token, and keys of
 * another host are not those of the issuer.
 *
 * @throws KeysUnavailableError
 */
export async function fetchKeys(
  settings: JwtSettings,
  dialer: Pick<Dialer, "dial">,
  readFile: ReadText = readText,
): Promise<readonly PublicKey[]> {
  const { source, issuer } = settings;
  if (source.kind === "keys") return source.keys;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const get = (url: URL) => getJson(url, settings, { dialer, readFile, signal });
  let { url } = source;
  if (source.kind === "discovery") {
    const found = discoverySchema.safeParse(await get(source.url)).data;
    if (!found) {
      throw new KeysUnavailableError(`${source.url.href} has no issuer and jwks_uri: set jwksUrl`);
    }
    if (found.issuer !== issuer) {
      throw new KeysUnavailableError(`${source.url.href} is of another issuer: set jwksUrl`);
    }
    const keys = keysUrl(found.jwks_uri);
    if (typeof keys === "string") {
      throw new KeysUnavailableError(`the jwks_uri of ${source.url.href} ${keys}`);
    }
    url = keys;
  }
  const keySet = keySetSchema.safeParse(await get(url)).data;
  if (!keySet) throw new KeysUnavailableError(`${url.href} is no JSON Web Key Set`);
  if (keySet.keys.length === 0) throw new KeysUnavailableError(`${url.href} has no public key`);
  return keySet.keys;
}

interface Means {
  readonly dialer: Pick<Dialer, "dial">;
  readonly readFile: ReadText;
  readonly signal: AbortSignal;
}

async function getJson(
  url: URL,
  { name, allowPrivate, ca, proxy, tokenFile }: JwtSettings,
  { dialer, readFile, signal }: Means,
): Promise<unknown> {
  const token = tokenFile === undefined ? undefined : readToken(tokenFile, readFile);
  const headers = {
    accept: "application/json, application/jwk-set+json",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  try {
    const response = await dialer.dial({
      upstream: `the issuer ${name}`,
      kind: "token",
      method: "GET",
      url,
      headers,
      allowPrivate,
      ca,
      proxy,
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      const hint =
        token === undefined && (response.status === 401 || response.status === 403)
          ? ": set tokenFile to a file with a token that it accepts"
          : "";
      throw new KeysUnavailableError(`${url.href} answered with ${response.status}${hint}`);
    }
    return JSON.parse(await textOf(response.body, url));
  } catch (error) {
    if (error instanceof KeysUnavailableError) throw error;
    throw new KeysUnavailableError(reasonOf(error, url), { cause: error });
  }
}

function readToken(file: string, readFile: ReadText): string {
  try {
    return readFile(file, MAX_TOKEN_BYTES).trim();
  } catch (cause) {
    if (!(cause instanceof UnreadableError)) throw cause;
    throw new KeysUnavailableError(`tokenFile ${file} ${cause.message}`, { cause });
  }
}

async function textOf(body: ReadableStream<Uint8Array> | undefined, url: URL): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_BYTES) {
      throw new KeysUnavailableError(`${url.href} is larger than ${MAX_BYTES / 1024} KiB`);
    }
  }
  return Buffer.concat(chunks).toString("utf8");
}

function reasonOf(error: unknown, url: URL): string {
  if (error instanceof SyntaxError) return `${url.href} is not JSON`;
  if (error instanceof Fault) return error.message;
  const isLate = error instanceof DOMException && error.name === "TimeoutError";
  return isLate
    ? `${url.href} did not answer within ${TIMEOUT_MS / 1000} s`
    : `${url.href} cannot be read`;
}
