import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Manifest } from "./helm.ts";
import type { PodVolume } from "./pod-template.ts";

export interface VolumeOptions {
  /** A folder of the pod, under a path that is the same for the test and for containerd. */
  readonly folder: string;
  readonly fsGroup: number | undefined;
  /** Where ConfigMaps and Secrets are found. */
  readonly objects: readonly Manifest[];
  /** The folder of each claim. */
  readonly claims: Readonly<Record<string, string>>;
  /** By which the test reaches a path of the node. */
  readonly onNode: (path: string) => string;
}

/** Makes a volume as the kubelet does, and returns its path for containerd. */
export function makeVolume(volume: PodVolume, options: VolumeOptions): string {
  if ("hostPath" in volume) return hostPath(volume.hostPath, options);
  const path = join(options.folder, volume.name);
  if ("emptyDir" in volume) {
    mkdirSync(path);
    chmodSync(path, 0o777);
    return owned(path, options.fsGroup, true);
  }
  if ("persistentVolumeClaim" in volume) {
    const { claimName } = volume.persistentVolumeClaim;
    const claimed = options.claims[claimName];
    if (claimed === undefined) throw new Error(`there is no volume for the claim ${claimName}`);
    return owned(claimed, options.fsGroup, true);
  }
  const [kind, name, source] =
    "secret" in volume
      ? (["Secret", volume.secret.secretName, volume.secret] as const)
      : (["ConfigMap", volume.configMap.name, volume.configMap] as const);
  const files = filesOf(kind, name, options.objects);
  mkdirSync(path);
  chmodSync(path, 0o755);
  const items = source.items ?? Object.keys(files).map((key) => ({ key, path: key }));
  for (const item of items) {
    const bytes = files[item.key];
    if (bytes === undefined) throw new Error(`${kind} ${name} has no key ${item.key}`);
    const file = join(path, item.path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    chmodSync(file, source.defaultMode);
  }
  return owned(path, options.fsGroup, false);
}

function hostPath(
  { path, type }: { readonly path: string; readonly type: string },
  { onNode }: VolumeOptions,
): string {
  const real = onNode(path);
  if (type === "DirectoryOrCreate") mkdirSync(real, { recursive: true, mode: 0o755 });
  // containerd makes a folder of a path that is not there, which a chart has to ask for by its type.
  if (!existsSync(real)) throw new Error(`the node has no ${path}`);
  const stats = statSync(real);
  const isRight =
    type === "" ||
    (type === "Socket" ? stats.isSocket() : type === "File" ? stats.isFile() : stats.isDirectory());
  if (!isRight) throw new Error(`${path} of the node is no ${type}`);
  return path;
}

/** Gives a volume to the group of the pod, as the kubelet does before the pod starts. */
function owned(path: string, fsGroup: number | undefined, isWritable: boolean): string {
  if (fsGroup === undefined) return path;
  const all = [
    path,
    ...readdirSync(path, { recursive: true, encoding: "utf8" }).map((it) => join(path, it)),
  ];
  for (const one of all) {
    const stats = lstatSync(one);
    if (stats.isSymbolicLink()) continue;
    chownSync(one, stats.uid, fsGroup);
    const access = isWritable ? 0o660 : 0o440;
    chmodSync(one, (stats.mode & 0o7777) | access | (stats.isDirectory() ? 0o2110 : 0));
  }
  return path;
}

const schema = z.looseObject({
  data: z.record(z.string(), z.string()).optional(),
  stringData: z.record(z.string(), z.string()).optional(),
});

function filesOf(
  kind: "Secret" | "ConfigMap",
  name: string,
  objects: readonly Manifest[],
): Record<string, Uint8Array> {
  const found = objects.find((it) => it.kind === kind && it.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  const { data = {}, stringData = {} } = schema.parse(found);
  const encoding = kind === "Secret" ? "base64" : "utf8";
  return {
    ...Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text, encoding)]),
    ),
    ...Object.fromEntries(
      Object.entries(stringData).map(([key, text]) => [key, Buffer.from(text)]),
    ),
  };
}
