import { posix } from "node:path";
import { DOCKER_HUB } from "../../config/settings.ts";
import { hostsFindings } from "../containerd/findings/hosts-findings.ts";
import { directoryInForce, registryDirectories } from "../containerd/hosts/hosts-directories.ts";
import type { FileView } from "../files/node-files.ts";
import type { Finding } from "../findings.ts";
import { sortFindings } from "../findings.ts";
import type { Fact, Inspection } from "../runtime.ts";
import type { Docker, ImageStore } from "./connection.ts";
import { CERTS_DIRECTORY, imageStore, usesHostsDirectories } from "./connection.ts";
import { differences } from "./control.ts";
import type { DaemonJson } from "./daemon-json.ts";
import { MIRRORS, defectFinding, readDaemonJson } from "./daemon-json.ts";
import type { Daemon } from "../service/daemon.ts";

export interface InspectInput {
  readonly view: FileView;
  readonly docker: Docker;
  /** Path of daemon.json. */
  readonly main: string;
  readonly flags: readonly string[];
  readonly socket: string;
  readonly daemon: Daemon | undefined;
  readonly filesOnly: boolean;
}

/** Inspects everything that determines where this Docker pulls from. */
export function inspect(input: InspectInput): Inspection {
  const { view, docker, main, flags, socket } = input;
  const configuration = readDaemonJson(view, main, flags);
  const findings: Finding[] = [];
  if (docker.info === undefined && !input.filesOnly) {
    findings.push({
      code: "docker-dead",
      severity: "error",
      at: { file: socket },
      what: "dockerd does not respond",
      consequence: "no container can be started, and no pull can prove anything",
      advice: "start Docker (its log says why it does not start: journalctl -u docker)",
    });
  }
  if ("defects" in configuration) {
    findings.push(...configuration.defects.map(defectFinding));
    return { facts: facts(input, undefined, "unknown"), findings };
  }
  const store = imageStore(docker, configuration);
  findings.push(
    ...reloadFindings(docker, configuration),
    ...(usesHostsDirectories(docker, store)
      ? directoryFindings(view, docker, configuration)
      : ignoredDirectories(view, docker, store)),
  );
  return { facts: facts(input, configuration, store), findings: sortFindings(findings) };
}

function facts(
  { docker, daemon, main }: InspectInput,
  configuration: DaemonJson | undefined,
  store: ImageStore,
): Fact[] {
  const list: (readonly [string, string | undefined])[] = [
    ["Docker", `${docker.version.text} (${docker.source})`],
    ["process", daemon && `${daemon.pid}, since ${new Date(daemon.startedAt).toISOString()}`],
    ["image store", store],
    [
      "configuration",
      configuration?.exists === false ? `${main} (does not exist: defaults)` : main,
    ],
    [MIRRORS, configuration?.mirrors.join(", ") || undefined],
    ["insecure", configuration?.insecure.join(", ") || undefined],
    [
      "mirrors of",
      usesHostsDirectories(docker, store)
        ? `every registry (hosts.toml below ${CERTS_DIRECTORY})`
        : "Docker Hub only",
    ],
  ];
  return list.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
}

function reloadFindings({ info }: Docker, configuration: DaemonJson): Finding[] {
  const keys = info ? differences(configuration, info) : [];
  if (keys.length === 0) return [];
  return [
    {
      code: "reload-due",
      severity: "warning",
      at: { file: configuration.path },
      what: `dockerd has not loaded its ${keys.join(" and ")}`,
      consequence: "dockerd uses what it had loaded before",
      advice: "run systemctl reload docker; containers keep running",
    },
  ];
}

function directoryFindings(
  view: FileView,
  docker: Docker,
  { path, mirrors }: DaemonJson,
): Finding[] {
  const { hosts: traits } = docker.traits;
  const findings = hostsFindings(view, CERTS_DIRECTORY, traits);
  const directory = directoryInForce(view, [CERTS_DIRECTORY], DOCKER_HUB, traits);
  const file = directory && posix.join(directory, "hosts.toml");
  if (file === undefined || view.read(file) === undefined || mirrors.length === 0) return findings;
  return [
    ...findings,
    {
      code: "mirrors-ignored",
      severity: "note",
      at: { file: path },
      what: `${MIRRORS} has no effect, because ${file} exists`,
      consequence: "pulls from Docker Hub go to the hosts of that file",
      advice: "nothing has to be done",
    },
  ];
}

function ignoredDirectories(view: FileView, docker: Docker, store: ImageStore): Finding[] {
  if (store === "unknown") return [];
  return registryDirectories(view, CERTS_DIRECTORY).flatMap((name): Finding[] => {
    const file = posix.join(CERTS_DIRECTORY, name, "hosts.toml");
    if (view.read(file) === undefined) return [];
    return [
      {
        code: "hosts-not-read",
        severity: "warning",
        at: { file },
        what: `Docker ${docker.version.text} with the ${store} image store does not read hosts.toml`,
        consequence: "pulls from this registry go to it directly",
        advice: docker.traits.readsHostsDirectories
          ? 'switch to the containerd image store ("features": {"containerd-snapshotter": true})'
          : "update to Docker 28 or newer with the containerd image store",
      },
    ];
  });
}
