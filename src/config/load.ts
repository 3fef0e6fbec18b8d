import path from "node:path";
import { plainCredentialsProblem } from "./upstreams/read-access.ts";
import { readAudit } from "./operator/read-audit.ts";
import { readEvents } from "./events/read-events.ts";
import { readClients } from "./clients/read-clients.ts";
import { readPolicies } from "./policy-files/read-policies.ts";
import { readCluster } from "./cluster/read-cluster.ts";
import { readTracing } from "./tracing/read-tracing.ts";
import { certificateInfo, readCaBundle, readServerIdentity } from "./upstreams/certificates.ts";
import { ConfigFile } from "./config-file.ts";
import { fileValue, type RawValue, readAddress } from "./raw-value.ts";
import { type ReadText, readText } from "./parsing/read-text.ts";
import type { Path } from "./parsing/yaml-source.ts";
import { type ProxyRule, proxyFromEnvironment } from "./parsing/proxy.ts";
import { ConfigError, type Problem, quote, sortProblems } from "./parsing/problems.ts";
import { readKubernetes } from "./kubeconfig/read-kubernetes.ts";
import type { WrittenKey } from "./effective/written-keys.ts";
import { wantedSettings } from "./warm/wanted-settings.ts";
import { readAdminTokens } from "./operator/admin-tokens.ts";
import { isLoopbackHost } from "./parsing/host-overlap.ts";
import {
  addressConflicts,
  certificatesAddress,
  clusterAddress,
  upstreamAddress,
} from "./addresses/address-conflicts.ts";
import { parseWorkers, type Settings, storageSettings } from "./settings.ts";
import type { UpstreamContext } from "./upstreams/upstream-context.ts";
import {
  defaultUpstreams,
  type ConfiguredUpstream,
  readUpstreams,
} from "./upstreams/read-upstreams.ts";

const ANY_HOST = "0.0.0.0";
const LOOPBACK = "127.0.0.1";
const DEFAULTS = {
  listen: `${ANY_HOST}:5000`,
  admin: `${LOOPBACK}:5001`,
  data: "/var/lib/entrepot",
  workers: "auto",
} as const;

/** The values of the command-line flags. */
export interface ConfigFlags {
  readonly config?: string | undefined;
  readonly listen?: string | undefined;
  readonly admin?: string | undefined;
  readonly data?: string | undefined;
  readonly workers?: string | undefined;
  /** Takes the place of the default data directory. */
  readonly defaultData?: string | undefined;
}

type Overridable = Exclude<keyof ConfigFlags, "defaultData">;

export interface LoadOptions {
  readonly flags?: ConfigFlags;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Replaces the file system in tests. Throws `UnreadableError`. */
  readonly readFile?: ReadText;
  /** Replaces the search of PATH in tests. */
  readonly hasProgram?: (name: string) => boolean;
}

/** The settings and the file that they were read from. */
export type LoadedSettings = Settings & {
  /** Absent without a configuration file. */
  readonly file?: string;
  /** What is written in it, and where. */
  readonly written?: readonly WrittenKey[];
  /** The settings of a Gardener manifest that have no equivalent, one line each. */
  readonly unsupported?: readonly string[];
};

/**
 * Reads the configuration. Flags override environment variables, which override the file.
 *
 * @throws ConfigError with all problems, not only the first
 */
export function loadSettings(options: LoadOptions = {}): LoadedSettings {
  const { flags = {}, env = {}, readFile = readText } = options;
  const problems: Problem[] = [];
  const override = (key: Overridable) => overrideValue(flags, env, key);

  const defaults = { ...DEFAULTS, data: flags.defaultData ?? DEFAULTS.data };
  const config = override("config");
  const file = config && readConfigFile(config, readFile, problems);
  const isFileInvalid = problems.length > 0;
  const rawValue = (key: keyof typeof DEFAULTS, at: Path, inFile: string | undefined): RawValue =>
    override(key) ?? (file && fileValue(file, at, inFile)) ?? defaultValue(key, defaults[key]);

  const { settings } = file ?? {};
  const listen = rawValue("listen", ["listen"], settings?.listen);
  const admin = rawValue("admin", ["admin"], settings?.admin);
  const data = rawValue("data", ["storage", "dir"], settings?.storage?.dir);
  const workers = readWorkers(rawValue("workers", ["workers"], settings?.workers), problems);
  const listenAddress = readAddress(listen, ANY_HOST, problems);
  const adminAddress = readAddress(admin, LOOPBACK, problems);
  const tokens = readAdminTokens(settings ?? {}, {
    env,
    folder: file?.folder ?? ".",
    readFile,
    report: (key, message, subject) => {
      if (file) problems.push(file.problem([key], message, subject));
    },
    reportVariable: (variable, message) => problems.push({ message: `${variable}: ${message}` }),
  });
  if (adminAddress && tokens === undefined && !isLoopbackHost(adminAddress.host)) {
    problems.push(unprotectedAdmin(admin));
  }
  if (data.value === "" || data.value.includes("\0")) {
    problems.push(data.problem(`${quote(data.value)} is not a valid path`));
  }

  const context = file && {
    folder: file.folder,
    readFile,
    location: (at: Path) => file.location(at),
    report: (at: Path, message: string, subject: "key" | "value"): void => {
      problems.push(file.problem(at, message, subject));
    },
  };
  const tls = context && readServerIdentity("tls", settings?.tls, context);
  const adminTls = context && readServerIdentity("adminTls", settings?.adminTls, context);
  const events = context && settings?.events && readEvents(settings.events, context);
  const audit = context && settings?.audit && readAudit(settings.audit, context);
  const proxy = proxyFromEnvironment(env, (variable, message) =>
    problems.push({ message: `${variable}: ${message}` }),
  );
  const ownNames = [
    ...(listenAddress ? [listenAddress.host] : []),
    ...(tls ? certificateInfo(tls).names : []),
  ];
  const cluster =
    context &&
    settings?.cluster &&
    readCluster(settings.cluster, { ...context, env, proxy, ownNames });
  const kubernetes = context && readKubernetes(settings?.kubernetes, { ...context, env });
  const tracing =
    context &&
    settings?.tracing &&
    readTracing(settings.tracing, {
      ...context,
      ca: readCaBundle(["tracing"], settings.tracing.ca, context),
    });
  const hasProgram = options.hasProgram ?? ((name) => Bun.which(name) !== null);
  const sources = { readFile, env, hasProgram, proxy };
  const upstreams = file ? upstreamsOf(file, sources, problems) : defaultUpstreams(proxy);
  for (const { upstream, at } of upstreams) {
    const address = upstream.listen ?? listenAddress;
    const sent = { hasTls: tls !== undefined, isWanted: settings?.plainCredentials ?? false };
    const problem = address && plainCredentialsProblem(upstream.access, address, sent);
    if (problem !== undefined && file)
      problems.push(file.problem([...at, "access"], problem, "key"));
  }
  const clients =
    context &&
    readClients(settings?.clients, { ...context, proxy, upstreams, hasTls: tls !== undefined });
  const policies =
    context &&
    settings?.policies &&
    readPolicies(settings.policies, {
      ...context,
      upstreams: upstreams.map(({ upstream }) => upstream.name),
    });
  if (!isFileInvalid && listenAddress && adminAddress) {
    problems.push(
      ...addressConflicts([
        { address: listenAddress, user: { name: "listen", raw: listen } },
        { address: adminAddress, user: { name: "admin", raw: admin } },
        ...(file ? [...clusterAddress(cluster, file), ...certificatesAddress(clients, file)] : []),
        ...(file ? upstreams.flatMap((one) => upstreamAddress(one, listenAddress, file)) : []),
      ]),
    );
  }
  if (problems.length > 0 || !listenAddress || !adminAddress) {
    throw new ConfigError(sortProblems(problems));
  }
  return {
    ...(config ? { file: config.value } : {}),
    ...(file && file.keys.length > 0 ? { written: file.keys } : {}),
    ...(file && file.unsupported.length > 0 ? { unsupported: file.unsupported } : {}),
    listen: listenAddress,
    admin: adminAddress,
    ...(tokens ? { adminTokens: tokens } : {}),
    ...(adminTls ? { adminTls } : {}),
    ...(tls ? { tls } : {}),
    ...(clients ? { clients } : {}),
    workers,
    dataDirectory: path.resolve(data.folder, data.value),
    storage: storageSettings(settings?.storage ?? {}),
    ...(settings?.maxRate ? { maxRate: settings.maxRate } : {}),
    ...(cluster ? { cluster } : {}),
    ...wantedSettings(settings ?? {}),
    ...(kubernetes ? { kubernetes } : {}),
    ...(policies ? { policies } : {}),
    ...(events ? { events } : {}),
    ...(audit ? { audit } : {}),
    ...(tracing ? { tracing } : {}),
    upstreams: new Map(upstreams.map(({ upstream }) => [upstream.name, upstream])),
  };
}

function overrideValue(
  flags: ConfigFlags,
  env: Readonly<Record<string, string | undefined>>,
  key: Overridable,
): (RawValue & { readonly origin: string }) | undefined {
  const variable = `ENTREPOT_${key.toUpperCase()}`;
  const isFlag = flags[key] !== undefined;
  // An empty variable counts as unset: Compose and systemd unit files cannot omit one conditionally.
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

function defaultValue(key: keyof typeof DEFAULTS, value: string): RawValue {
  const problem = (message: string) => ({ message: `${key}: ${message}` });
  return { value, isDefault: true, folder: ".", problem };
}

function readConfigFile(
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

function readWorkers(raw: RawValue, problems: Problem[]): Settings["workers"] {
  const workers = parseWorkers(raw.value);
  if (workers !== undefined) return workers;
  problems.push(
    raw.problem(`${quote(raw.value)} is not valid: write a number from 1 to 64, or auto`),
  );
  return "auto";
}

function unprotectedAdmin(raw: RawValue): Problem {
  return raw.problem(
    `${quote(raw.value)} is reachable from other machines, which requires a token: set adminTokenFile, adminToken or ENTREPOT_ADMIN_TOKEN, or use a loopback address, such as ${DEFAULTS.admin}`,
  );
}

/** What upstreams are read from, apart from their entries in the file. */
interface UpstreamSources extends Pick<UpstreamContext, "readFile" | "env" | "hasProgram"> {
  readonly proxy: ProxyRule | undefined;
}

function upstreamsOf(
  file: ConfigFile,
  sources: UpstreamSources,
  problems: Problem[],
): ConfiguredUpstream[] {
  const entries = file.settings.upstreams;
  if (entries === undefined) return defaultUpstreams(sources.proxy);
  if (entries === null || Object.keys(entries).length === 0) {
    const message =
      "is empty: add a registry, or omit the key to cache the five default registries";
    problems.push(file.problem(["upstreams"], message, "key"));
    return [];
  }
  return readUpstreams(entries, {
    ...sources,
    folder: file.folder,
    location: (at) => file.location(at),
    report: (at, message, subject) => problems.push(file.problem(at, message, subject)),
  });
}
