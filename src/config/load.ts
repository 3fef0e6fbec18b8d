import path from "node:path";
import ipaddr from "ipaddr.js";
import { readServerIdentity } from "./upstreams/certificates.ts";
import { ConfigFile } from "./config-file.ts";
import { type ReadText, readText } from "./parsing/read-text.ts";
import type { Path } from "./parsing/yaml-source.ts";
import { type ProxyRule, proxyFromEnvironment } from "./parsing/proxy.ts";
import { ConfigError, type Problem, quote, sortProblems } from "./parsing/problems.ts";
import { readAdminToken } from "./admin-token.ts";
import { addressProblem, parseAddress } from "./schema.ts";
import type { Address, Settings } from "./settings.ts";
import type { UpstreamContext } from "./upstreams/upstream-context.ts";
import {
  defaultUpstreams,
  type PlacedUpstream,
  readUpstreams,
} from "./upstreams/read-upstreams.ts";

const ANY_HOST = "0.0.0.0";
const LOOPBACK = "127.0.0.1";
const DEFAULTS = {
  listen: `${ANY_HOST}:5000`,
  admin: `${LOOPBACK}:5001`,
  data: "/var/lib/entrepot",
} as const;

/** A terabyte in three days, at a few percent of a disk's and a processor's time. */
const SCRUB = 4 * 1024 * 1024;

/** Command-line flags, as they were typed. */
export interface ConfigFlags {
  readonly config?: string | undefined;
  readonly listen?: string | undefined;
  readonly admin?: string | undefined;
  readonly data?: string | undefined;
}

export interface LoadOptions {
  readonly flags?: ConfigFlags;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Stands in for the disk; throws an `UnreadableError`. */
  readonly readFile?: ReadText;
  /** Stands in for a look into PATH. */
  readonly hasProgram?: (name: string) => boolean;
}

/** Settings, and the file they came from, if any. */
export type LoadedSettings = Settings & {
  readonly file?: string;
  /** What a file in a foreign form says that has no equal here. */
  readonly leftOver?: readonly string[];
};

/** A value as it was written, and how to say what is wrong with it where it was written. */
interface Given {
  readonly value: string;
  readonly isDefault: boolean;
  /** Where a relative path in it begins. */
  readonly folder: string;
  readonly problem: (message: string) => Problem;
}

/**
 * Reads the configuration: flags beat the environment, which beats the file.
 *
 * @throws ConfigError with all that is wrong, not just with what was found first.
 */
export function loadSettings(options: LoadOptions = {}): LoadedSettings {
  const { flags = {}, env = {}, readFile = readText } = options;
  const problems: Problem[] = [];
  const typed = (key: keyof ConfigFlags) => typedValue(flags, env, key);

  const config = typed("config");
  const file = config && openFile(config, readFile, problems);
  const isFileBad = problems.length > 0;
  const given = (key: keyof typeof DEFAULTS, at: Path, inFile: string | undefined): Given =>
    typed(key) ?? (file && writtenValue(file, at, inFile)) ?? defaultValue(key);

  const { settings } = file ?? {};
  const listen = given("listen", ["listen"], settings?.listen);
  const admin = given("admin", ["admin"], settings?.admin);
  const data = given("data", ["storage", "dir"], settings?.storage?.dir);
  const listenAddress = readAddress(listen, ANY_HOST, problems);
  const adminAddress = readAddress(admin, LOOPBACK, problems);
  const token = readAdminToken(file, env, readFile, problems);
  if (adminAddress && token === undefined && !isLoopback(adminAddress.host)) {
    problems.push(openAdmin(admin));
  }
  if (data.value === "" || data.value.includes("\0")) {
    problems.push(data.problem(`${quote(data.value)} is no path`));
  }

  const tls =
    file &&
    readServerIdentity(settings?.tls, {
      folder: file.folder,
      readFile,
      report: (at, message, place) => problems.push(file.problem(at, message, place)),
    });
  const proxy = proxyFromEnvironment(env, (variable, message) =>
    problems.push({ message: `${variable}: ${message}` }),
  );
  const hasProgram = options.hasProgram ?? ((name) => Bun.which(name) !== null);
  const outside = { readFile, env, hasProgram, proxy };
  const upstreams = file ? upstreamsOf(file, outside, problems) : defaultUpstreams(proxy);
  if (!isFileBad && listenAddress && adminAddress) {
    problems.push(
      ...portClashes([
        { user: "listen", port: listenAddress.port, given: listen },
        { user: "admin", port: adminAddress.port, given: admin },
        ...upstreams.flatMap((upstream) => portOf(upstream, file)),
      ]),
    );
  }
  if (problems.length > 0 || !listenAddress || !adminAddress) {
    throw new ConfigError(sortProblems(problems));
  }
  return {
    ...(config ? { file: config.value } : {}),
    ...(file && file.leftOver.length > 0 ? { leftOver: file.leftOver } : {}),
    listen: listenAddress,
    admin: adminAddress,
    ...(token === undefined ? {} : { adminToken: token }),
    ...(tls ? { tls } : {}),
    dataDirectory: path.resolve(data.folder, data.value),
    storage: storageSettings(settings?.storage ?? {}),
    upstreams: new Map(upstreams.map(({ upstream }) => [upstream.name, upstream])),
  };
}

function typedValue(
  flags: ConfigFlags,
  env: Readonly<Record<string, string | undefined>>,
  key: keyof ConfigFlags,
): (Given & { readonly origin: string }) | undefined {
  const variable = `ENTREPOT_${key.toUpperCase()}`;
  const isFlag = flags[key] !== undefined;
  // A variable that is set to nothing is how compose files and unit files leave one out.
  const value = flags[key] ?? (env[variable] || undefined);
  if (value === undefined) return undefined;
  const origin = isFlag ? `--${key}` : variable;
  return {
    value,
    origin,
    isDefault: false,
    folder: ".",
    problem: (message) => ({ message: `${origin}: ${message}` }),
  };
}

function writtenValue(file: ConfigFile, at: Path, value: string | undefined): Given | undefined {
  if (value === undefined) return undefined;
  return {
    value,
    isDefault: false,
    folder: file.folder,
    problem: (message) => file.problem(at, message),
  };
}

function defaultValue(key: keyof typeof DEFAULTS): Given {
  const problem = (message: string) => ({ message: `${key}: ${message}` });
  return { value: DEFAULTS[key], isDefault: true, folder: ".", problem };
}

function openFile(
  config: { readonly value: string; readonly origin: string },
  readFile: ReadText,
  problems: Problem[],
): ConfigFile | undefined {
  try {
    return new ConfigFile(config.value, config.origin, readFile);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

function readAddress(given: Given, anyHost: string, problems: Problem[]): Address | undefined {
  const address = parseAddress(given.value, anyHost);
  if (!address) problems.push(given.problem(addressProblem(given.value)));
  return address;
}

function isLoopback(host: string): boolean {
  if (host === "localhost") return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === "loopback";
}

function openAdmin(given: Given): Problem {
  return given.problem(
    `${quote(given.value)} can be reached from other machines, so a token has to be shown there: set adminTokenFile, adminToken or ENTREPOT_ADMIN_TOKEN, or stay on loopback, such as ${DEFAULTS.admin}`,
  );
}

function storageSettings(
  storage: NonNullable<ConfigFile["settings"]["storage"]>,
): Settings["storage"] {
  const { maxSize, minFree, scrub = SCRUB } = storage;
  return {
    ...(maxSize === undefined ? {} : { maxSize }),
    ...(minFree === undefined ? {} : { minFree }),
    scrub,
  };
}

interface Outside extends Pick<UpstreamContext, "readFile" | "env" | "hasProgram"> {
  readonly proxy: ProxyRule | undefined;
}

function upstreamsOf(file: ConfigFile, outside: Outside, problems: Problem[]): PlacedUpstream[] {
  const entries = file.settings.upstreams;
  if (entries === undefined) return defaultUpstreams(outside.proxy);
  if (entries === null || Object.keys(entries).length === 0) {
    const message = "is empty: name a registry, or leave the key out for the usual five";
    problems.push(file.problem(["upstreams"], message, "key"));
    return [];
  }
  return readUpstreams(entries, {
    ...outside,
    folder: file.folder,
    place: (at) => file.place(at),
    report: (at, message, place) => problems.push(file.problem(at, message, place)),
  });
}

interface PortUse {
  readonly user: string;
  readonly port: number;
  readonly given: Pick<Given, "isDefault" | "problem">;
}

function portOf({ upstream, at }: PlacedUpstream, file: ConfigFile | undefined): PortUse[] {
  if (upstream.port === undefined || !file) return [];
  const problem = (message: string) => file.problem([...at, "port"], message);
  return [{ user: upstream.name, port: upstream.port, given: { isDefault: false, problem } }];
}

/** Reported at the later of two, unless that one was not written by anybody. */
function portClashes(uses: readonly PortUse[]): Problem[] {
  const taken = new Map<number, PortUse>();
  return uses.flatMap((use) => {
    // Port 0 is a different one each time.
    const other = use.port === 0 ? undefined : taken.get(use.port);
    if (!other) {
      taken.set(use.port, use);
      return [];
    }
    const [culprit, owner] = use.given.isDefault ? [other, use] : [use, other];
    return [culprit.given.problem(`port ${use.port} is ${owner.user}'s already`)];
  });
}
