import path from "node:path";
import type { UpstreamName } from "../oci/names.ts";
import { hasMode } from "./access/access-settings.ts";
import { ConfigFile } from "./config-file.ts";
import { loadSettings } from "./load.ts";
import type { Address } from "./parsing/address.ts";
import { ConfigError, type Problem } from "./parsing/problems.ts";
import { type ReadText, readText } from "./parsing/read-text.ts";
import type { Path } from "./parsing/yaml-source.ts";
import { addressOf, defaultUrl, type Settings, type UpstreamSettings } from "./settings.ts";

/** A file or a folder that a configuration names, and that has to be where the cache runs. */
export interface ReferencedFile {
  /** The key: `upstreams.docker.io.auth.passwordFile`. */
  readonly key: string;
  /** As it is written: relative to the folder of the configuration, or absolute. */
  readonly path: string;
  readonly isFolder: boolean;
}

/** A configuration that can be taken to another machine: without secrets, and without what it refers to. */
export interface PortableConfig {
  /** Its keys and values as they were written. */
  readonly written: unknown;
  readonly listen: Address;
  readonly hasTls: boolean;
  /** `storage.dir` as it is written, if it is. */
  readonly dataDirectory?: string;
  readonly upstreams: readonly PortableUpstream[];
  readonly files: readonly ReferencedFile[];
  /** The environment variables that it reads, by their keys. */
  readonly variables: readonly { readonly key: string; readonly name: string }[];
}

export interface PortableUpstream {
  readonly name: UpstreamName;
  /** The registry's own URL, where a node finds it without the cache. */
  readonly server: string;
  /** At which nodes reach this registry alone. */
  readonly port?: number;
  /** At which the cache serves this registry alone. */
  readonly address?: Address;
  /** Whether it is served nowhere else. */
  readonly isAlone?: true;
  /** Whether credentials are asked for, for any of its repositories. */
  readonly asks?: true;
}

/** What a key's value refers to. Keys that are not here hold their value themselves. */
const REFERENCES = {
  adminToken: "secret",
  password: "secret",
  proxy: "url",
  adminTokenFile: "file",
  readTokenFile: "file",
  passwordFile: "file",
  secretFile: "file",
  headersFile: "file",
  urlFile: "file",
  accessKeyFile: "file",
  secretKeyFile: "file",
  sessionTokenFile: "file",
  webIdentityTokenFile: "file",
  htpasswdFile: "file",
  tokensFile: "file",
  jwksFile: "file",
  tokenFile: "file",
  key: "file",
  certificate: "file",
  clientKey: "file",
  clientCertificate: "file",
  dockerConfig: "file",
  ca: "file or text",
  secretDir: "folder",
  usernameEnv: "variable",
  passwordEnv: "variable",
} as const;

type Reference = (typeof REFERENCES)[keyof typeof REFERENCES];

/** Every key of the schema whose value is not itself the setting. Exported for its test. */
export const REFERRING_KEYS: readonly string[] = Object.keys(REFERENCES);

/**
 * Reads a configuration for another machine. The files that it names need not exist here, and are not read.
 *
 * @throws ConfigError if it is invalid, or contains a secret: what is rendered is copied, stored and logged
 */
export function readPortableConfig(file: string, readFile: ReadText = readText): PortableConfig {
  const config = new ConfigFile(file, "--config", readFile);
  const { written } = config;
  const files: ReferencedFile[] = [];
  const variables: { key: string; name: string }[] = [];
  const problems: Problem[] = [];
  for (const { at, kind, value } of references(written)) {
    const key = at.join(".");
    if (kind === "variable") variables.push({ key, name: value });
    else if (kind === "file" || kind === "folder") {
      files.push({ key, path: value, isFolder: kind === "folder" });
    } else if (kind === "file or text") {
      if (!value.includes("-----BEGIN")) files.push({ key, path: value, isFolder: false });
      else if (value.includes("PRIVATE KEY")) problems.push(config.problem(at, PRIVATE_KEY));
    } else if (kind === "secret" || /\/\/[^/]*@/.test(value)) {
      problems.push(config.problem(at, adviceOf(at)));
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  const settings = settingsOf(file, written);
  const dataDirectory = config.settings.storage?.dir;
  return {
    written,
    listen: settings.listen,
    hasTls: config.settings.tls !== undefined,
    ...(dataDirectory === undefined ? {} : { dataDirectory }),
    upstreams: [...settings.upstreams.values()].map((one) => portableUpstream(one, settings)),
    files,
    variables,
  };
}

/** `url` is where the cache finds a registry: nodes know it by its name. */
function portableUpstream(upstream: UpstreamSettings, settings: Settings): PortableUpstream {
  const { name, listen } = upstream;
  const address = addressOf(upstream, settings);
  return {
    name,
    server: defaultUrl(name),
    ...(address && !isLoopback(address.host) ? { port: address.port } : {}),
    ...(address ? { address } : {}),
    ...(listen ? { isAlone: true } : {}),
    ...(hasMode(upstream.access, "upstream", "clients") ? { asks: true } : {}),
  };
}

/** Nodes do not reach it. */
function isLoopback(host: string): boolean {
  return host === "localhost" || /^127\.|^::1$/.test(host);
}

const PRIVATE_KEY = "contains a private key, which would be part of what is rendered";

function adviceOf(at: Path): string {
  const what = "is a secret, which would be part of what is rendered: ";
  if (at.at(-1) === "adminToken")
    return `${what}write it to a file, and name that in adminTokenFile`;
  if (at.at(-1) === "password") return `${what}write it to a file, and name that in passwordFile`;
  return `${what}use a proxy that needs no password, or set HTTPS_PROXY in the service's environment`;
}

interface Referring {
  readonly at: Path;
  readonly kind: Reference;
  readonly value: string;
}

/** All values that refer to something outside the file, at any depth. */
function references(value: unknown, at: Path = []): Referring[] {
  if (Array.isArray(value)) return value.flatMap((one, index) => references(one, [...at, index]));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    // A registry may have any name: only what is below it is a key of the schema.
    const isName = at.length === 1 && at[0] === "upstreams";
    const kind = isName ? undefined : referenceOf(key);
    if (kind && typeof inner === "string") return [{ at: [...at, key], kind, value: inner }];
    return references(inner, [...at, key]);
  });
}

function referenceOf(key: string): Reference | undefined {
  // `hasOwn` has just said that it is one of the keys.
  return Object.hasOwn(REFERENCES, key) ? REFERENCES[key as keyof typeof REFERENCES] : undefined;
}

/**
 * The settings without what is to be read on the other machine. This checks what involves several keys.
 *
 * @throws ConfigError
 */
function settingsOf(file: string, written: unknown): ReturnType<typeof loadSettings> {
  const text = JSON.stringify(withoutReferences(written));
  try {
    return loadSettings({ flags: { config: file }, readFile: () => text, hasProgram: () => true });
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause;
    // The lines are not those of the file; the messages name the keys.
    const problems = cause.problems.map(({ message }) => ({
      message: `${path.basename(file)}: ${message}`,
    }));
    throw new ConfigError(problems, { cause });
  }
}

/** A token that is in a file counts as one: without it, `admin` must be on loopback. */
const ANY_TOKEN = "0123456789abcdef";

/** Clients of any kind: whether the others are valid is seen where their files are. */
const ANY_CLIENTS = {
  jwt: [{ name: "any", issuer: "https://issuer.invalid", audience: "any" }],
  rules: [{ principals: ["**"], repositories: ["**"], effect: "allow" }],
};

/** The keys below which there are only references. At the depth of registries' names, there are none. */
const READ_LATER = new Set([
  "auth",
  "tls",
  "adminTls",
  "events",
  "readTokenFile",
  "cluster",
  "proxy",
  "ca",
  "clientCertificate",
  "clientKey",
]);

function withoutReferences(value: unknown, depth = 0): unknown {
  if (Array.isArray(value)) return value.map((one) => withoutReferences(one, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => depth === 1 || !READ_LATER.has(key));
  return Object.fromEntries(
    entries.map(([key, inner]) =>
      depth === 0 && key === "adminTokenFile"
        ? ["adminToken", ANY_TOKEN]
        : depth === 0 && key === "clients"
          ? ["clients", ANY_CLIENTS]
          : [key, withoutReferences(inner, depth + 1)],
    ),
  );
}
