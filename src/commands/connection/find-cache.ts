import { resolve } from "node:path";
import { type AdminEndpoint, adminEndpoint } from "../../config/addresses/admin-endpoint.ts";
import { type LoadedSettings, loadSettings } from "../../config/load.ts";
import { ConfigError, quote } from "../../config/parsing/problems.ts";
import { readText, UnreadableError } from "../../config/parsing/read-text.ts";

/** The options and variables that say which cache is meant. */
interface CacheOptions {
  readonly config?: string;
  readonly admin?: string;
  readonly ca?: string;
  readonly data?: string;
}

const MAX_CA = 4 * 1024 * 1024;

/**
 * The settings of the cache that a command is about, and how it is reached.
 *
 * @throws ConfigError
 */
export function findCache(
  options: CacheOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): {
  readonly settings: LoadedSettings;
  readonly endpoint: AdminEndpoint;
  /** Reads again how the cache is reached: its token may have been replaced. */
  readonly reread: () => AdminEndpoint;
} {
  const isFlag = options.admin !== undefined;
  const given = options.admin ?? env["ENTREPOT_ADMIN"];
  const { scheme, address } = withoutScheme(given);
  const settings = loadSettings({
    flags: { ...options, ...(isFlag ? { admin: address } : {}) },
    env: isFlag ? env : { ...env, ENTREPOT_ADMIN: address },
  });
  const ca = readCa(options.ca, env["ENTREPOT_ADMIN_CA"]);
  if (scheme === "http" && options.ca !== undefined) {
    throw problem("--ca", `is of no use with ${quote(given ?? "")}: write https://`);
  }
  const isTls = scheme === undefined ? undefined : scheme === "https";
  const endpoint = adminEndpoint(settings, { ca, isTls });
  return { settings, endpoint, reread: () => findCache(options, env).endpoint };
}

function withoutScheme(given: string | undefined): {
  readonly scheme?: string;
  readonly address: string | undefined;
} {
  const match = /^(https?):\/\/([^/]*)\/?$/i.exec(given ?? "");
  const [, scheme, address] = match ?? [];
  if (scheme === undefined || address === undefined) return { address: given };
  return { scheme: scheme.toLowerCase(), address };
}

/** @throws ConfigError */
function readCa(flag: string | undefined, variable: string | undefined): string | undefined {
  const [origin, file] = flag === undefined ? ["ENTREPOT_ADMIN_CA", variable] : ["--ca", flag];
  if (!file && flag === undefined) return undefined;
  const path = resolve(file ?? "");
  let text: string;
  try {
    text = readText(path, MAX_CA);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    throw problem(origin, `${path} ${error.message}`);
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw problem(origin, `${path} contains no certificate in PEM format`);
}

function problem(origin: string, message: string): ConfigError {
  return new ConfigError([{ message: `${origin}: ${message}` }]);
}
