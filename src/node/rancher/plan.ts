import { posix } from "node:path";
import { CA_FILE_NAME } from "../../config/containerd/hosts-toml.ts";
import { cacheCaTargets } from "../cache-ca.ts";
import type { FileState, FileView } from "../files/node-files.ts";
import { lossyText, newFile, readText, withText } from "../files/node-files.ts";
import { managedFileObstacles } from "../managed-file.ts";
import type { DesiredState, Obstacle, Target } from "../plan.ts";
import { canServe, leftOutNote } from "../registry-hosts.ts";
import type { Targets, Wiring } from "../runtime.ts";
import type { Connection } from "./connection.ts";
import { RegistriesYaml, bare } from "./registries-yaml.ts";

/** Rancher's own agent writes registries.yaml on the nodes that it provisions. */
const PROVISIONED = "config.yaml.d/50-rancher.yaml";

/** registries.yaml with the cache as the first endpoint of each registry. A change needs a restart. */
export function planTargets(
  view: FileView,
  connection: Connection,
  desired: DesiredState,
): Targets {
  const { name, title } = connection;
  const { registries: path, isWithoutDefault } = connection.settings(view);
  const certsDir = connection.certsDirectory(view);
  const yaml = new RegistriesYaml(readText(view, path) ?? "", path);
  const obstacles: Obstacle[] = [
    ...yaml.defects.map((defect) => ({
      ...defect,
      advice: `fix it first: ${title} does not start, or has no mirrors, with this file`,
    })),
    ...provisioned(view, name, path),
    ...managedFileObstacles(view, path, "the mirrors"),
  ];
  const notes: string[] = [];
  if (obstacles.length > 0) return { targets: [], certsDir, notes, obstacles };
  if (isWithoutDefault) {
    notes.push(
      "disable-default-registry-endpoint is set: while the cache fails, wired registries cannot be pulled from",
    );
  }
  const wildcard = yaml.mirrors.get("*");
  const wired = [...desired.namespaces, ...(desired.useDefault ? ["*"] : [])];
  for (const registry of wired) {
    const present = yaml.mirrors.get(registry);
    if (present?.hasRewrite && !desired.replace) {
      const at = { file: path, line: present.line };
      const what = `the rewrite of ${registry} would change the names that the cache is asked for`;
      const advice = "leave this registry out, or use --replace to drop its endpoints and rewrites";
      obstacles.push({ code: "rewrite", at, what, advice });
    }
    // An entry of its own takes a registry out of "*", whose endpoints it had until then.
    const former = desired.replace ? [] : ((present ?? wildcard)?.endpoints ?? []);
    const isSuited = (url: string): boolean =>
      present !== undefined || canServe(url, registry, desired.namespaces);
    const leftOut = former.filter((url) => !isSuited(url));
    if (leftOut.length > 0) notes.push(leftOutNote(registry, leftOut));
    const others = former.filter((url) => bare(url) !== desired.cache && isSuited(url));
    const isFirst = bare(former[0] ?? "") === desired.cache && others.length === former.length - 1;
    if (present?.isLinked && !isFirst) {
      const at = { file: path, line: present.line };
      const what = `the entry of ${registry} has an anchor, an alias or a merge key: a change of it could change other entries`;
      obstacles.push({
        code: "yaml-anchor",
        at,
        what,
        advice: "write it out, or leave this registry out",
      });
      continue;
    }
    if (!isFirst || present === undefined)
      yaml.setEndpoints(registry, [desired.cache, ...others], desired.replace);
  }
  const caFile = caFileFor(path);
  const ca = cacheCaTargets(view, caFile, desired);
  obstacles.push(...ca.obstacles, ...caObstacles(yaml, path, caFile, desired));
  if (desired.cacheCa !== undefined) yaml.setCaFile(new URL(desired.cache).host, caFile);
  const before = view.read(path);
  const text = yaml.toString();
  const after = before === undefined ? newFile(text) : withText(before, text);
  // Nothing of it is read before the next start: a failing cache cannot be taken out of it.
  const target: Target = {
    path,
    kind: "config",
    after,
    withoutCache: after,
    why: `mirrors of ${wired.join(", ")}`,
  };
  return { targets: [...ca.targets, target], certsDir, notes, obstacles };
}

/** An edited registries.yaml without the cache. Undefined if it cannot be read. */
export function unwiredRegistries(
  path: string,
  current: FileState,
  { cache, original }: Wiring,
): FileState | undefined {
  const yaml = new RegistriesYaml(lossyText(current.bytes), path);
  const isLinked = [...yaml.mirrors.values()].some((it) => it.isLinked);
  if (yaml.defects.length > 0 || isLinked) return undefined;
  const former = new RegistriesYaml(lossyText(original?.bytes ?? new Uint8Array()), path);
  yaml.removeCache(cache, caFileFor(path), new Set(former.mirrors.keys()));
  return withText(current, yaml.toString());
}

function caFileFor(path: string): string {
  return posix.join(posix.dirname(path), CA_FILE_NAME);
}

function provisioned(view: FileView, name: string, path: string): Obstacle[] {
  const evidence = `/etc/rancher/${name}/${PROVISIONED}`;
  if (view.read(evidence) === undefined) return [];
  const what = `Rancher writes ${path} itself (${evidence} exists) and would undo this change`;
  const advice = "set the cluster's registries in Rancher (spec.rkeConfig.registries)";
  return [{ code: "managed", at: { file: path }, what, advice }];
}

function caObstacles(
  yaml: RegistriesYaml,
  path: string,
  caFile: string,
  { cache, cacheCa, adopt }: DesiredState,
): Obstacle[] {
  const { host } = new URL(cache);
  const present = yaml.caFileOf(host);
  if (cacheCa === undefined || present === undefined || present === caFile || adopt) return [];
  const what = `configs."${host}".tls.ca_file is ${present} already`;
  const advice = "use --adopt to replace it (rollback restores it)";
  return [{ code: "foreign-ca", at: { file: path }, what, advice }];
}
