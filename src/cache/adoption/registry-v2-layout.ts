import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { type Manifest, ManifestError } from "../../oci/manifest.ts";
import { parseManifest } from "../../oci/parse-manifest.ts";
import { parseRepositoryName, type RepositoryName, type UpstreamName } from "../../oci/names.ts";
import { printable } from "../../printable.ts";
import { describeSystemError } from "../../store/storage-fault.ts";
import { ConfinedFolder } from "./confined-folder.ts";

/** The largest link file that is read, in bytes: longer than any digest. */
const MAX_LINK_BYTES = 1024;

/** A folder that cannot be adopted. The message says why. */
export class AdoptionError extends Error {
  override readonly name = "AdoptionError";
}

/** A blob in the folder of a registry. */
export interface FoundBlob {
  readonly digest: Digest;
  /** Without symbolic links. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * Checks what can be checked before the store is created.
 *
 * @throws AdoptionError if the upstream is not configured, or the folder is not a registry's
 */
export async function mustBeAdoptable(
  { folder, upstream }: { readonly folder: string; readonly upstream: UpstreamName },
  configured: ReadonlyMap<UpstreamName, unknown>,
): Promise<void> {
  mustBeConfigured(upstream, configured);
  await registryRoot(folder);
}

/** @throws AdoptionError */
export function mustBeConfigured(
  upstream: UpstreamName,
  configured: ReadonlyMap<UpstreamName, unknown>,
): void {
  if (configured.has(upstream)) return;
  const others = [...configured.keys()].join(", ");
  throw new AdoptionError(
    `${upstream} is not a configured upstream, so its images could not be pulled. Configured upstreams: ${others}`,
  );
}

/** The storage of a registry: `root` is in `folder`, or is the folder itself. */
export interface RegistryRoot {
  readonly folder: ConfinedFolder;
  readonly root: string;
}

/**
 * Finds the root of a registry's storage in or below a folder.
 *
 * @throws AdoptionError
 */
export async function registryRoot(path: string): Promise<RegistryRoot> {
  try {
    await readdir(path);
    const folder = await ConfinedFolder.open(path);
    for (const below of ["docker/registry/v2", "registry/v2", "v2", ""]) {
      const root = join(folder.path, below);
      const found = await folder.names(root);
      if (found.includes("blobs") && found.includes("repositories")) return { folder, root };
    }
    const [unreadable] = folder.failed.listed;
    if (unreadable) {
      throw new AdoptionError(`${printable(unreadable.path)} cannot be read: ${unreadable.reason}`);
    }
  } catch (error) {
    if (error instanceof AdoptionError) throw error;
    const message = `${printable(path)} cannot be read: ${describeSystemError(error)}`;
    throw new AdoptionError(message, { cause: error });
  }
  throw new AdoptionError(
    `${printable(path)} is not a registry's folder: it has no docker/registry/v2 with blobs and repositories. Name the rootdirectory of registry:2, usually /var/lib/registry`,
  );
}

/**
 * Names of repositories: folders with `_manifests` or `_layers`, at any depth. Symbolic links to folders
 * are followed inside the registry's folder, but not to a parent folder.
 */
export async function* repositories(
  { folder, root }: RegistryRoot,
  name = "",
  parents: readonly string[] = [],
): AsyncGenerator<RepositoryName> {
  const path = join(root, "repositories", name);
  const found = await folder.names(path);
  const real = found.length === 0 ? undefined : await folder.resolve(path);
  if (real === undefined || parents.includes(real)) return;
  const repository = parseRepositoryName(name);
  if (repository && (found.includes("_manifests") || found.includes("_layers"))) yield repository;
  for (const child of found) {
    if (child.startsWith("_")) continue;
    const below = name === "" ? child : `${name}/${child}`;
    yield* repositories({ folder, root }, below, [...parents, real]);
  }
}

/** The blobs in the folder of a registry, by their paths. Nothing is verified. */
export async function* blobsOf({ folder, root }: RegistryRoot): AsyncGenerator<FoundBlob> {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const top = join(root, "blobs", algorithm);
    for (const prefix of await folder.names(top)) {
      for (const hex of await folder.names(join(top, prefix))) {
        const digest = parseDigest(`${algorithm}:${hex}`);
        const path = await folder.resolve(join(top, prefix, hex, "data"));
        if (!digest || path === undefined) continue;
        const stats = await lstat(path).catch(() => undefined);
        if (stats?.isFile()) yield { digest, path, size: stats.size };
      }
    }
  }
}

/** A digest in a link file of a registry. */
export interface LinkedDigest {
  readonly digest: Digest;
  /** In milliseconds of the epoch. */
  readonly writtenAt: number;
}

/** `undefined` if there is none. */
export async function linkedDigest(
  folder: ConfinedFolder,
  path: string,
): Promise<LinkedDigest | undefined> {
  await using file = await folder.file(path);
  if (!file) return undefined;
  const { size, mtimeMs } = await file.stat();
  if (size > MAX_LINK_BYTES) return undefined;
  const text = await file.readFile("utf8").catch((cause: unknown) => {
    folder.failed.unreadable(path, cause);
    return "";
  });
  const digest = parseDigest(text.trim());
  return digest && { digest, writtenAt: Math.floor(mtimeMs) };
}

/** A registry stores no Content-Type. `undefined` if it is no manifest that can be cached. */
export async function readManifest(bytes: Uint8Array): Promise<Manifest | undefined> {
  try {
    return await parseManifest(bytes, "");
  } catch (error) {
    if (error instanceof ManifestError) return undefined;
    throw error;
  }
}
