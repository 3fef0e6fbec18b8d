import path from "node:path";
import { z } from "zod";
import type { Mount, MountSource } from "../distribution/container/container.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ManifestObject } from "./manifest-object.ts";
import type { VolumeMountSpec, VolumeSpec } from "./pod-schema.ts";
import type { MissingValues, StoredValue, StoredValues } from "./stored-values.ts";

const claim = z.object({ spec: z.object({ volumeName: z.string().nullish() }) });
const persistentVolume = z.object({
  spec: z.object({
    hostPath: z.object({ path: z.string() }).nullish(),
    local: z.object({ path: z.string() }).nullish(),
    claimRef: z.object({ name: z.string() }).nullish(),
  }),
});

/** What a volume of a pod has: a source of its own, or files with texts. */
type VolumeContent =
  | { readonly source: MountSource }
  | { readonly files: ReadonlyMap<string, StoredValue> }
  | MissingValues;

/** Finds out what is mounted into the containers of a pod. */
export class PodVolumes {
  readonly #object: ManifestObject;
  readonly #stored: StoredValues;
  readonly #objects: readonly ManifestObject[];

  constructor(
    object: ManifestObject,
    stored: StoredValues,
    /** All objects that are imported: PersistentVolumes may be among them. */
    objects: readonly ManifestObject[],
  ) {
    this.#object = object;
    this.#stored = stored;
    this.#objects = objects;
  }

  /** @param at the path of the list of mounts */
  mounts(mounts: readonly VolumeMountSpec[], volumes: readonly VolumeSpec[], at: Path): Mount[] {
    return mounts.flatMap((mount, index) => {
      const from = this.#object.origin([...at, index, "mountPath"]);
      const volume = volumes.find(({ name }) => name === mount.name);
      const content: VolumeContent = volume
        ? this.#contentOf(volume)
        : { missing: `the volume ${mount.name}` };
      const target = path.posix.normalize(mount.mountPath).replace(/(?<=.)\/+$/, "");
      const below = mount.subPath ?? "";
      if ("missing" in content) return [{ source: { unresolved: content.missing }, target, from }];
      if ("files" in content) return fileMounts(content.files, target, below, from);
      const { source } = content;
      if (mount.subPathExpr) return [{ source: { unresolved: mount.subPathExpr }, target, from }];
      if (!("folder" in source)) return [{ source, target, from }];
      return [{ source: { folder: path.join(source.folder, below) }, target, from }];
    });
  }

  #contentOf(volume: VolumeSpec): VolumeContent {
    const { name, hostPath, configMap, secret, projected, persistentVolumeClaim, ...other } =
      volume;
    if (hostPath) return { source: { folder: path.posix.normalize(hostPath.path) } };
    if (configMap) return this.#files("ConfigMap", configMap.name, configMap.items);
    if (secret) return this.#files("Secret", secret.secretName, secret.items);
    if (projected) {
      const files = new Map<string, StoredValue>();
      for (const { configMap: map, secret: one } of projected.sources) {
        const part = map
          ? this.#files("ConfigMap", map.name, map.items)
          : one && this.#files("Secret", one.name, one.items);
        if (part && "missing" in part) return part;
        for (const [key, value] of part?.files ?? []) files.set(key, value);
      }
      return { files };
    }
    if (persistentVolumeClaim) return { source: this.#claimed(persistentVolumeClaim.claimName) };
    // The data of an emptyDir goes with its pod.
    if ("emptyDir" in other) return { files: new Map() };
    const [type = "volume"] = Object.keys(other);
    return { source: { unresolved: `the ${type} volume ${name}` } };
  }

  #files(
    kind: "ConfigMap" | "Secret",
    name: string,
    items: readonly { readonly key: string; readonly path: string }[] | null | undefined,
  ): { readonly files: ReadonlyMap<string, StoredValue> } | MissingValues {
    const values =
      kind === "ConfigMap"
        ? this.#stored.configMap(name, this.#object)
        : this.#stored.secret(name, ["config.yml"], this.#object, this.#object.origin([]));
    if ("missing" in values) return { missing: `the ${kind} ${name}` };
    if (!items) return { files: values };
    return {
      files: new Map(
        items.flatMap(({ key, path: file }): [string, StoredValue][] => {
          const value = values.get(key);
          return value ? [[file, value]] : [];
        }),
      ),
    };
  }

  /** The folder of the PersistentVolume that a claim is bound to, if it is one of a node. */
  #claimed(name: string): MountSource {
    const own = this.#objects.find(
      (one) => one.kind === "PersistentVolumeClaim" && one.name === name,
    );
    const parsed = own && claim.safeParse(own.value);
    const bound = parsed?.success ? parsed.data.spec.volumeName : undefined;
    for (const one of this.#objects.filter(({ kind }) => kind === "PersistentVolume")) {
      const spec = persistentVolume.safeParse(one.value).data?.spec;
      const folder = spec?.hostPath?.path ?? spec?.local?.path;
      const isBound = one.name === bound || spec?.claimRef?.name === name;
      if (isBound && folder !== undefined) return { folder: path.posix.normalize(folder) };
    }
    return { unresolved: `the PersistentVolumeClaim ${name}` };
  }
}

/** Each file is a mount of its own; with a subPath, that file is the target itself. */
function fileMounts(
  files: ReadonlyMap<string, StoredValue>,
  target: string,
  subPath: string,
  from: Mount["from"],
): Mount[] {
  return [...files].flatMap(([name, { text, from: origin }]): Mount[] => {
    const source: MountSource = { content: text, origin };
    const normal = path.posix.normalize(name);
    if (subPath === "") return [{ source, target: path.posix.join(target, normal), from }];
    return normal === path.posix.normalize(subPath) ? [{ source, target, from }] : [];
  });
}
