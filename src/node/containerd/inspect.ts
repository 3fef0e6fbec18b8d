import { posix } from "node:path";
import type { Finding } from "../findings.ts";
import { sortFindings } from "../findings.ts";
import type { FileView } from "../files/node-files.ts";
import type { Fact, Inspection } from "../runtime.ts";
import type { Unit } from "../service/systemd.ts";
import { sparesContainers } from "../service/systemd.ts";
import type { ManagedBy } from "../managed-by.ts";
import { configurationFindings } from "./findings/configuration-findings.ts";
import type { Configuration } from "./config/configuration.ts";
import { readConfiguration } from "./config/configuration.ts";
import type { Cri } from "./cri/cri.ts";
import { CriFault } from "./cri/cri.ts";
import type { Daemon } from "../service/daemon.ts";
import type { DumpedRegistry } from "./config/config-dump.ts";
import { dumpDifferences } from "./config/config-dump.ts";
import { hostsFindings } from "./findings/hosts-findings.ts";
import { fileManager, lossText } from "./managed-files.ts";
import { mirrorFindings } from "./findings/mirror-findings.ts";
import type { RegistryTables } from "./config/registry-tables.ts";
import { readRegistryTables } from "./config/registry-tables.ts";
import type { ContainerdVersion } from "./traits.ts";
import { isSupported, traitsOf } from "./traits.ts";

export interface InspectInput {
  readonly view: FileView;
  readonly version: ContainerdVersion;
  /** The option, socket, command or file that the version comes from. */
  readonly versionSource: string;
  /** Path of the main configuration file. */
  readonly main: string;
  readonly socket: string;
  readonly daemon: Daemon | undefined;
  /** The registry settings as containerd itself reads the files. Undefined if it cannot be asked. */
  readonly dump: (configuration: Configuration) => DumpedRegistry | undefined;
  /** A file's mtime in milliseconds since the epoch. */
  readonly modifiedAt: (path: string) => number | undefined;
  /** Undefined if only files are inspected. */
  readonly cri: Cri | undefined;
  readonly unit: Unit | undefined;
  /** The KillMode that a running systemd has loaded. */
  readonly loadedKillMode: string | undefined;
  readonly manager: ManagedBy | undefined;
}

const MIRROR_SETTINGS: Readonly<Record<RegistryTables["kind"], string>> = {
  none: "none: every pull goes to the registry directly",
  deprecated: "mirrors, configs or auths in config.toml (deprecated)",
  hosts: "hosts directories (config_path)",
  both: "conflicting: mirrors or configs.tls together with config_path",
};

/** Inspects everything that determines where this containerd pulls from. */
export async function inspect(input: InspectInput): Promise<Inspection> {
  const { view, version, main, manager } = input;
  const traits = traitsOf(version);
  const configuration = readConfiguration(view, main, traits);
  const tables = readRegistryTables(configuration, traits);
  const findings: Finding[] = [
    ...(await criFindings(input)),
    ...configurationFindings(view, configuration, tables, traits, version),
    ...(tables.kind === "hosts" || tables.kind === "both" || traits.defaultConfigPath !== ""
      ? tables.directories.flatMap((root) => hostsFindings(view, root, traits))
      : []),
    ...unitFindings(ownUnit(input), input.loadedKillMode),
    ...staleFindings(input, configuration),
    ...dumpFindings(input, configuration, tables),
    // For the files of another root, no connection is opened.
    ...(input.cri === undefined ? [] : await mirrorFindings(view, tables, traits)),
  ];
  if (!isSupported(version)) {
    findings.push({
      code: "version-unsupported",
      severity: "error",
      what: `containerd ${version.text} is older than 1.6`,
      consequence: "its hosts directories lack fields that entrepot needs",
      advice: "update containerd",
    });
  }
  if (manager) findings.push(managedFinding(main, manager, "this node"));
  for (const { path } of configuration.files) {
    const by = manager?.ownsConfig && path === main ? undefined : fileManager(view, path);
    if (by) findings.push(managedFinding(path, by, "this file"));
  }
  return { facts: facts(input, configuration, tables), findings: sortFindings(findings) };
}

function managedFinding(file: string, by: ManagedBy, what: string): Finding {
  return {
    code: "managed",
    severity: "note",
    at: { file },
    what: `${by.name} manages ${what} (${by.evidence})`,
    consequence: lossText(by),
    advice: by.advice,
  };
}

function facts(input: InspectInput, configuration: Configuration, tables: RegistryTables): Fact[] {
  const { daemon, manager } = input;
  const unit = ownUnit(input);
  const [, ...imported] = configuration.files.map((file) => file.path);
  const list: (readonly [string, string | undefined])[] = [
    ["containerd", `${input.version.text} (${input.versionSource})`],
    ["process", daemon && `${daemon.pid}, since ${new Date(daemon.startedAt).toISOString()}`],
    ["unit", unit && `${unit.file}, KillMode=${unit.killMode}`],
    ["managed by", manager?.name],
    [
      "configuration",
      configuration.exists ? input.main : `${input.main} (does not exist: defaults)`,
    ],
    ["imports", imported.length > 0 ? imported.join(", ") : undefined],
    ["version", configuration.files.length > 0 ? String(configuration.version) : undefined],
    ["registry table", `plugins."${configuration.table}".registry`],
    ["mirrors", MIRROR_SETTINGS[tables.kind]],
    ["config_path", tables.directories.join(":") || undefined],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

const OTHER_SOCKETS = [
  "/run/k3s/containerd/containerd.sock",
  "/run/k0s/containerd.sock",
  "/var/snap/microk8s/common/run/containerd.sock",
];

/** Existing sockets of distributions with a containerd of their own, as the end of a sentence. */
function otherSockets(view: FileView): string {
  const found = OTHER_SOCKETS.filter((path) =>
    view.list(posix.dirname(path))?.includes(posix.basename(path)),
  );
  return found.length > 0 ? `, such as ${found.join(" or ")}` : "";
}

async function criFindings({ cri, socket, daemon, view }: InspectInput): Promise<Finding[]> {
  if (cri === undefined) return [];
  try {
    await cri.version();
    return [];
  } catch (error) {
    if (!(error instanceof CriFault)) throw error;
    if (error.kind === "cri-dead") return [await deadCriFinding(cri, error)];
    const listener = daemon === undefined ? "" : ` (process ${daemon.pid} listens there)`;
    return [
      {
        code: `cri-${error.kind}`,
        severity: "error",
        at: { file: socket },
        what: `CRI does not respond: ${error.message}${listener}`,
        consequence:
          error.kind === "forbidden"
            ? "it cannot be checked whether pods can start"
            : "no pod can start on this node",
        advice:
          error.kind === "absent"
            ? `start containerd, or name its socket with --socket${otherSockets(view)}`
            : "name containerd's socket with --socket, and run this as root",
      },
    ];
  }
}

async function deadCriFinding(cri: Cri, error: CriFault): Promise<Finding> {
  const errors = await cri.pluginErrors().catch(() => new Map<string, string>());
  const [id, reason] = [...errors].find(([name]) => /cri/.test(name)) ?? [];
  return {
    code: "cri-dead",
    severity: "error",
    at: { file: cri.socket },
    what: `containerd runs without CRI: ${reason === undefined ? error.message : `${id}: ${reason}`}`,
    consequence: "the unit looks healthy, but no pod can start on this node",
    advice: "fix the configuration (see the other findings) and restart containerd",
  };
}

/** The unit, unless the daemon was started by something else, such as k3s or a snap. */
function ownUnit({ unit, daemon }: InspectInput): Unit | undefined {
  if (unit === undefined || daemon === undefined) return unit;
  return daemon.cgroups.includes(`/${unit.name}`) ? unit : undefined;
}

function unitFindings(unit: Unit | undefined, loaded: string | undefined): Finding[] {
  if (unit === undefined) return [];
  if (sparesContainers(unit)) {
    if (loaded === undefined || sparesContainers({ killMode: loaded })) return [];
    return [
      {
        code: "unit-not-reloaded",
        severity: "warning",
        at: unit.killModeAt ?? { file: unit.file },
        what: `${unit.name} has KillMode=${unit.killMode}, but systemd still has KillMode=${loaded} loaded`,
        consequence: "a restart of containerd kills every container of the node",
        advice: "run systemctl daemon-reload",
      },
    ];
  }
  return [
    {
      code: "unit-kill-mode",
      severity: "warning",
      at: unit.killModeAt ?? { file: unit.file },
      what: `${unit.name} has KillMode=${unit.killMode}`,
      consequence: "a restart of containerd kills every container of the node",
      advice: "set KillMode=process in a drop-in of the unit and run systemctl daemon-reload",
    },
  ];
}

/** Differences between containerd's own reading of its files and this program's. containerd is right. */
function dumpFindings(
  { dump, main }: InspectInput,
  configuration: Configuration,
  tables: RegistryTables,
): Finding[] {
  // 1.6 dumps the settings of a version that it then does not read.
  if (configuration.defects.some(({ kind }) => kind === "version-too-new")) return [];
  const dumped = dump(configuration);
  if (dumped === undefined) return [];
  return dumpDifferences(dumped, tables).map((difference) => ({
    code: "dump-differs",
    severity: "warning",
    at: { file: main },
    what: `containerd config dump shows ${difference}`,
    consequence: "the other findings may be wrong",
    advice: "compare the files with `containerd config dump`; only a probe pull is proof",
  }));
}

/** Whether a file was modified after the daemon started, which is known to about a second. */
export function isStale(modifiedAt: number | undefined, daemon: Daemon): boolean {
  return modifiedAt !== undefined && modifiedAt > daemon.startedAt + 2_000;
}

/** containerd reads config_path only when it starts, unlike hosts.toml. */
function staleFindings(input: InspectInput, configuration: Configuration): Finding[] {
  const { daemon } = input;
  if (daemon === undefined) return [];
  return configuration.files.flatMap((file): Finding[] => {
    const modifiedAt = input.modifiedAt(file.path);
    if (modifiedAt === undefined || !isStale(modifiedAt, daemon)) return [];
    return [
      {
        code: "restart-due",
        severity: "warning",
        at: { file: file.path },
        what: `it was modified at ${new Date(modifiedAt).toISOString()}, after containerd started`,
        consequence: "containerd uses its previous content until it is restarted",
        advice: "check the other findings first, then restart containerd",
      },
    ];
  });
}
