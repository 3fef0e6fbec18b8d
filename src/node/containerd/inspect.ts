import { posix } from "node:path";
import type { Finding } from "../findings.ts";
import { sortFindings } from "../findings.ts";
import type { FileView } from "../files/node-files.ts";
import type { Fact, Inspection } from "../runtime.ts";
import type { Unit } from "../systemd.ts";
import { sparesContainers } from "../systemd.ts";
import type { ManagedBy } from "../managed-by.ts";
import { configurationFindings } from "./findings/configuration-findings.ts";
import type { Configuration } from "./config/configuration.ts";
import { readConfiguration } from "./config/configuration.ts";
import type { Cri } from "./cri/cri.ts";
import { CriFault } from "./cri/cri.ts";
import type { Daemon } from "./daemon.ts";
import { dumpedConfigPath } from "./config/config-dump.ts";
import { hostsFindings } from "./findings/hosts-findings.ts";
import { mirrorFindings } from "./findings/mirror-findings.ts";
import type { RegistryTables } from "./config/registry-tables.ts";
import { registryTables } from "./config/registry-tables.ts";
import type { ContainerdVersion } from "./traits.ts";
import { isSupported, traitsOf } from "./traits.ts";

export interface InspectInput {
  readonly view: FileView;
  readonly version: ContainerdVersion;
  /** What told the version. */
  readonly versionSource: string;
  readonly main: string;
  readonly socket: string;
  readonly daemon: Daemon | undefined;
  /** In milliseconds of the epoch. */
  readonly modifiedAt: (path: string) => number | undefined;
  /** Absent where only files are looked at. */
  readonly cri: Cri | undefined;
  readonly unit: Unit | undefined;
  /** The KillMode by which a running systemd goes. */
  readonly loadedKillMode: string | undefined;
  readonly manager: ManagedBy | undefined;
}

const PATTERNS: Readonly<Record<RegistryTables["kind"], string>> = {
  none: "none: every pull goes to the registry itself",
  deprecated: "mirrors, configs or auths in config.toml (deprecated)",
  hosts: "hosts directories",
  both: "both at once: mirrors or configs.tls beside config_path",
};

/** Looks at everything that has a say in where this containerd pulls from. */
export async function inspect(input: InspectInput): Promise<Inspection> {
  const { view, version, main, manager } = input;
  const traits = traitsOf(version);
  const configuration = readConfiguration(view, main, traits);
  const pattern = registryTables(configuration, traits);
  const findings: Finding[] = [
    ...(await criFindings(input)),
    ...configurationFindings(view, configuration, pattern, traits, version),
    ...(pattern.kind === "hosts" || pattern.kind === "both" || traits.defaultConfigPath !== ""
      ? pattern.directories.flatMap((root) => hostsFindings(view, root, traits))
      : []),
    ...unitFindings(ownUnit(input), input.loadedKillMode),
    ...staleFindings(input, configuration),
    ...dumpFindings(input, pattern),
    // Nothing is dialled for the files of another root.
    ...(input.cri === undefined ? [] : await mirrorFindings(view, pattern, traits)),
  ];
  if (!isSupported(version)) {
    findings.push({
      code: "version-unsupported",
      severity: "error",
      what: `containerd ${version.text} is older than 1.6`,
      consequence: "its hosts directories lack what a safe wiring needs",
      advice: "update containerd",
    });
  }
  if (manager) {
    findings.push({
      code: "managed",
      severity: "note",
      at: { file: main },
      what: `${manager.name} manages this node (${manager.evidence})`,
      consequence: manager.ownsConfig ? "a change of config.toml would be lost" : "changes stay",
      advice: manager.advice,
    });
  }
  return { facts: facts(input, configuration, pattern), findings: sortFindings(findings) };
}

function facts(input: InspectInput, configuration: Configuration, pattern: RegistryTables): Fact[] {
  const { daemon, manager } = input;
  const unit = ownUnit(input);
  const [, ...imported] = configuration.files.map((file) => file.path);
  const list: (readonly [string, string | undefined])[] = [
    ["containerd", `${input.version.text} (${input.versionSource})`],
    ["process", daemon && `${daemon.pid}, since ${new Date(daemon.startedAt).toISOString()}`],
    ["unit", unit && `${unit.file}, KillMode=${unit.killMode}`],
    ["managed by", manager?.name],
    ["configuration", configuration.exists ? input.main : `${input.main} (absent: defaults)`],
    ["imports", imported.length > 0 ? imported.join(", ") : undefined],
    ["version", configuration.files.length > 0 ? String(configuration.version) : undefined],
    ["registry table", `plugins."${configuration.table}".registry`],
    ["pattern", PATTERNS[pattern.kind]],
    ["config_path", pattern.directories.join(":") || undefined],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

const OTHER_SOCKETS = [
  "/run/k3s/containerd/containerd.sock",
  "/run/k0s/containerd.sock",
  "/var/snap/microk8s/common/run/containerd.sock",
];

/** Sockets of distributions that bring a containerd of their own. */
function elsewhere(view: FileView): string {
  const found = OTHER_SOCKETS.filter((path) =>
    view.list(posix.dirname(path))?.includes(posix.basename(path)),
  );
  return found.length > 0 ? `: there is ${found.join(" and ")}` : "";
}

async function criFindings({ cri, socket, daemon, view }: InspectInput): Promise<Finding[]> {
  if (cri === undefined) return [];
  try {
    await cri.version();
    return [];
  } catch (error) {
    if (!(error instanceof CriFault)) throw error;
    if (error.kind === "cri-dead") return [await deadCri(cri, error)];
    const runs = daemon === undefined ? "" : ` (process ${daemon.pid} listens there)`;
    return [
      {
        code: `cri-${error.kind}`,
        severity: "error",
        at: { file: socket },
        what: `CRI does not answer: ${error.message}${runs}`,
        consequence:
          error.kind === "forbidden"
            ? "whether pods can start here cannot be told"
            : "no pod can start on this node",
        advice:
          error.kind === "absent"
            ? `start containerd, or name its socket with --socket${elsewhere(view)}`
            : "name containerd's socket with --socket, and run this as root",
      },
    ];
  }
}

async function deadCri(cri: Cri, error: CriFault): Promise<Finding> {
  const errors = await cri.pluginErrors().catch(() => new Map<string, string>());
  const [id, reason] = [...errors].find(([name]) => /cri/.test(name)) ?? [];
  return {
    code: "cri-dead",
    severity: "error",
    at: { file: cri.socket },
    what: `containerd runs with its CRI dead: ${reason === undefined ? error.message : `${id}: ${reason}`}`,
    consequence: "the unit looks healthy, and no pod can start on this node",
    advice: "mend the configuration (see the other findings) and restart containerd",
  };
}

/** The unit, unless the daemon that was found runs under something else: k3s, a snap, a test. */
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
        what: `${unit.name} has KillMode=${unit.killMode} here, and systemd still goes by KillMode=${loaded}`,
        consequence: "a restart of containerd ends every container of the node",
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
      consequence: "a restart of containerd ends every container of the node",
      advice: "put KillMode=process into a drop-in of the unit and run systemctl daemon-reload",
    },
  ];
}

/** Where containerd reads its files otherwise than they were read here, its word counts. */
function dumpFindings({ daemon, main }: InspectInput, pattern: RegistryTables): Finding[] {
  const dumped = dumpedConfigPath(daemon, main);
  const read = pattern.configPath?.value ?? "";
  if (dumped === undefined || dumped === read) return [];
  return [
    {
      code: "dump-differs",
      severity: "warning",
      at: { file: main },
      what: `containerd config dump has config_path = ${JSON.stringify(dumped)}, and its files were read as ${JSON.stringify(read)}`,
      consequence: "what is said here of hosts directories may not hold",
      advice: "look at `containerd config dump`; a probe pull has the last word",
    },
  ];
}

/** Whether a file changed after the daemon's start, which is known to about a second. */
export function isStale(changed: number | undefined, daemon: Daemon): boolean {
  return changed !== undefined && changed > daemon.startedAt + 2_000;
}

/** config_path is read at the start alone, unlike hosts.toml. */
function staleFindings(input: InspectInput, configuration: Configuration): Finding[] {
  const { daemon } = input;
  if (daemon === undefined) return [];
  return configuration.files.flatMap((file): Finding[] => {
    const changed = input.modifiedAt(file.path);
    if (changed === undefined || !isStale(changed, daemon)) return [];
    return [
      {
        code: "restart-due",
        severity: "warning",
        at: { file: file.path },
        what: `it changed at ${new Date(changed).toISOString()}, after containerd's start`,
        consequence: "containerd goes by what it said before, until it is restarted",
        advice: "restart containerd, with a look at the other findings first",
      },
    ];
  });
}
