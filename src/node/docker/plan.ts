import { posix } from "node:path";
import { CA_FILE_NAME } from "../../config/containerd/hosts-toml.ts";
import { DOCKER_HUB } from "../../config/settings.ts";
import type { MirrorConversion } from "../containerd/hosts/convert-mirrors.ts";
import { defaultServer } from "../containerd/hosts/convert-mirrors.ts";
import { directoryInForce } from "../containerd/hosts/hosts-directories.ts";
import { linkedRegistries } from "../containerd/hosts/linked-registries.ts";
import { planHosts } from "../containerd/hosts/plan-hosts.ts";
import { cacheCaTargets } from "../cache-ca.ts";
import type { JsonDocument } from "../files/json-edit.ts";
import type { FileState, FileView } from "../files/node-files.ts";
import { OverlaidFiles, newFile, withText } from "../files/node-files.ts";
import { managedFileObstacles } from "../managed-file.ts";
import type { DesiredState, Obstacle, Target } from "../plan.ts";
import type { Targets, Wiring } from "../runtime.ts";
import type { Docker } from "./connection.ts";
import { CERTS_DIRECTORY, imageStore, usesHostsDirectories } from "./connection.ts";
import type { DaemonJson } from "./daemon-json.ts";
import { INSECURE, MIRRORS, flagOf, isLoopback, isSet, readDaemonJson } from "./daemon-json.ts";

export interface PlanInput {
  /** The files before the wiring. */
  readonly view: FileView;
  readonly docker: Docker;
  /** Path of daemon.json. */
  readonly main: string;
  readonly flags: readonly string[];
  readonly desired: DesiredState;
}

/**
 * With the containerd image store, each registry gets a hosts.toml. Otherwise Docker has mirrors of
 * Docker Hub only, and daemon.json names the cache as the first of them.
 */
export function planTargets(input: PlanInput): Targets {
  const { view, docker, main, flags } = input;
  const nothing = { targets: [], certsDir: CERTS_DIRECTORY, notes: [] };
  if (docker.info?.isRootless) {
    const what = "this Docker is rootless: its files are those of its user";
    const advice = "write them as this user: entrepot render docker prints them";
    return { ...nothing, obstacles: [{ code: "rootless", what, advice }] };
  }
  const configuration = readDaemonJson(view, main, flags);
  if ("defects" in configuration) return { ...nothing, obstacles: configuration.defects };
  const store = imageStore(docker, configuration);
  if (usesHostsDirectories(docker, store)) return planDirectories(input, configuration);
  return planDaemonJson(input, configuration);
}

function planDirectories({ view, docker, desired }: PlanInput, configuration: DaemonJson): Targets {
  const { hosts: traits } = docker.traits;
  const caFile = `/etc/docker/${CA_FILE_NAME}`;
  const hosts = planHosts({
    view,
    desired,
    conversion: formerMirrors(view, docker, configuration, desired),
    inForce: [CERTS_DIRECTORY],
    root: CERTS_DIRECTORY,
    traits,
    caFile,
  });
  const ca = cacheCaTargets(view, caFile, desired);
  const obstacles = [
    ...hosts.obstacles,
    ...ca.obstacles,
    ...linkedRegistries(view, CERTS_DIRECTORY, hosts.targets),
    ...hosts.targets.flatMap(({ path }) => managedFileObstacles(view, path, "the mirror")),
  ];
  const { notes } = hosts;
  return {
    targets: [...ca.targets, ...hosts.targets],
    certsDir: CERTS_DIRECTORY,
    notes,
    obstacles,
  };
}

/** Docker ignores the mirrors of daemon.json once docker.io has a hosts.toml: they move there. */
function formerMirrors(
  view: FileView,
  { traits }: Docker,
  { mirrors }: DaemonJson,
  { namespaces, replace, cache }: DesiredState,
): MirrorConversion {
  const directory = directoryInForce(view, [CERTS_DIRECTORY], DOCKER_HUB, traits.hosts);
  const areInForce =
    directory === undefined || view.read(posix.join(directory, "hosts.toml")) === undefined;
  const others = mirrors.filter((url) => url !== cache);
  const isMoved = areInForce && !replace && others.length > 0 && namespaces.includes(DOCKER_HUB);
  const hosts = others.map((url) => ({ url, capabilities: ["pull", "resolve"] }));
  const moved = { registry: DOCKER_HUB, hosts, server: defaultServer(DOCKER_HUB), root: {} };
  return {
    registries: new Map(isMoved ? [[DOCKER_HUB, moved]] : []),
    wildcard: undefined,
    obstacles: [],
    notes: isMoved
      ? [`${MIRRORS} of daemon.json do not apply beside a hosts.toml: they follow the cache there`]
      : [],
  };
}

function planDaemonJson(
  { view, docker, main, flags, desired }: PlanInput,
  configuration: DaemonJson,
): Targets {
  const obstacles: Obstacle[] = [];
  const others = desired.namespaces.filter((name) => name !== DOCKER_HUB);
  if (others.length > 0 || desired.useDefault) {
    const what = `Docker ${docker.version.text} has mirrors of Docker Hub only, and none of ${[...others, ...(desired.useDefault ? ["every other registry"] : [])].join(", ")}`;
    const advice = docker.traits.readsHostsDirectories
      ? 'wire docker.io alone (--upstream docker.io), or switch to the containerd image store ("features": {"containerd-snapshotter": true})'
      : "wire docker.io alone (--upstream docker.io); Docker 28 with the containerd image store has mirrors of every registry";
    obstacles.push({ code: "docker-hub-only", what, advice });
  }
  obstacles.push(...managedFileObstacles(view, main, `"${MIRRORS}"`));
  const url = new URL(desired.cache);
  const caFile = `${CERTS_DIRECTORY}/${url.host}/ca.crt`;
  const ca = cacheCaTargets(view, caFile, desired);
  obstacles.push(...ca.obstacles);
  const before = view.read(main);
  const wired = withCache(configuration, desired, url);
  obstacles.push(...flagObstacles(wired, main, flags));
  // Its lists stay, even if they are empty: when a key is gone, a reload keeps what the key had.
  const left = withoutMirror(wired, desired.cache);
  const wasInsecure = configuration.insecure.includes(url.host);
  const withoutCache = wasInsecure ? left : left.without(INSECURE, url.host);
  const state = (text: string) => (before === undefined ? newFile(text) : withText(before, text));
  const target: Target = {
    path: main,
    kind: "hosts",
    after: state(wired.text),
    withoutCache: state(withoutCache.text),
    why: "mirrors of Docker Hub",
  };
  return { targets: [...ca.targets, target], certsDir: CERTS_DIRECTORY, notes: [], obstacles };
}

/** dockerd does not start with a setting that its command line and its file both have. */
function flagObstacles(wired: JsonDocument, main: string, flags: readonly string[]): Obstacle[] {
  return [MIRRORS, INSECURE].flatMap((key) => {
    const flag = flagOf(key);
    if (!wired.has(key) || !isSet(flags, flag)) return [];
    const what = `dockerd is started with ${flag}, and does not start if daemon.json has this setting too`;
    const advice = `move the value of ${flag} from the unit's ExecStart to ${main}, and restart Docker`;
    return [{ code: "flag-conflict", at: { file: main }, what, advice }];
  });
}

/** An edited daemon.json without the cache. Undefined if it cannot be read. */
export function unwiredDaemonJson(
  view: FileView,
  path: string,
  { cache, original }: Wiring,
): FileState | undefined {
  const read = readDaemonJson(view, path, []);
  const current = view.read(path);
  if ("defects" in read || current === undefined) return undefined;
  const { host } = new URL(cache);
  const left = withoutMirror(read.document, cache);
  const before =
    original && readDaemonJson(new OverlaidFiles(view, new Map([[path, original]])), path, []);
  const wasInsecure = before && "insecure" in before && before.insecure.includes(host);
  return withText(current, (wasInsecure ? left : left.without(INSECURE, host)).text);
}

/** Removes a mirror from the list, also where it was written with a slash at its end. */
function withoutMirror(document: JsonDocument, cache: string): JsonDocument {
  return document.without(MIRRORS, cache).without(MIRRORS, `${cache}/`);
}

function withCache({ document, mirrors, insecure }: DaemonJson, desired: DesiredState, url: URL) {
  let wired = document;
  if (desired.replace) wired = wired.withList(MIRRORS, [desired.cache]);
  else if (mirrors[0] !== desired.cache)
    wired = withoutMirror(wired, desired.cache).withFirst(MIRRORS, desired.cache);
  const needsInsecure = url.protocol === "http:" && !isLoopback(url.hostname);
  if (needsInsecure && !insecure.includes(url.host)) wired = wired.withFirst(INSECURE, url.host);
  return wired;
}
