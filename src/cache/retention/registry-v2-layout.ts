import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { type Manifest, ManifestError, parseManifest } from "../../oci/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import { parseRepositoryName, type RepositoryName, type UpstreamName } from "../../oci/names.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";

/** The largest link file that is read, in bytes: longer than any digest. */
const MAX_LINK_BYTES = 1024;

/** A folder that cannot be adopted. The message says why. */
export class AdoptionError extends Error {
  override readonly name = "AdoptionError";
}

/** A blob in the folder of a registry. */
export interface FoundBlob {
  readonly digest: Digest;
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

/**
 * Finds the root of a registry's storage in or below a folder.
 *
 * @throws AdoptionError
 */
export async function registryRoot(folder: string): Promise<string> {
  try {
    await readdir(folder);
    for (const below of ["docker/registry/v2", "registry/v2", "v2", ""]) {
      const root = join(folder, below);
      const found = await names(root);
      if (found.includes("blobs") && found.includes("repositories")) return root;
    }
  } catch (error) {
    throw new AdoptionError(`${folder} cannot be read: ${describeSystemError(error)}`, {
      cause: error,
    });
  }
  throw new AdoptionError(
    `${folder} is not a registry's folder: it has no docker/registry/v2 with blobs and repositories. Name the rootdirectory of registry:2, usually /var/lib/registry`,
  );
}

/**
 * Names of repositories: folders with `_manifests` or `_layers`, at any depth. Symbolic links to
 * folders are followed, since some may have been moved to another disk, but not to a parent folder.
 */
export async function* repositories(
  top: string,
  name = "",
  parents: readonly string[] = [],
): AsyncGenerator<RepositoryName> {
  const found = await names(join(top, name));
  if (found.length === 0) return;
  const real = await realpath(join(top, name));
  if (parents.includes(real)) return;
  const repository = parseRepositoryName(name);
  if (repository && (found.includes("_manifests") || found.includes("_layers"))) yield repository;
  for (const child of found) {
    if (child.startsWith("_")) continue;
    yield* repositories(top, name === "" ? child : `${name}/${child}`, [...parents, real]);
  }
}

/** The blobs in the folder of a registry, by their paths. Nothing is verified. */
export async function* blobsOf(root: string): AsyncGenerator<FoundBlob> {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const top = join(root, "blobs", algorithm);
    for (const folder of await names(top)) {
      for (const hex of await names(join(top, folder))) {
        const digest = parseDigest(`${algorithm}:${hex}`);
        const path = join(top, folder, hex, "data");
        const stats = await stat(path).catch(() => undefined);
        if (digest && stats?.isFile()) yield { digest, path, size: stats.size };
      }
    }
  }
}

/** The digest in a link file of a registry; `undefined` if there is none. */
export async function linkedDigest(path: string): Promise<Digest | undefined> {
  const stats = await stat(path).catch(() => undefined);
  // Anything else under this name, such as a pipe or a device, might block or have no end.
  if (!stats?.isFile() || stats.size > MAX_LINK_BYTES) return undefined;
  return parseDigest((await readFile(path, "utf8").catch(() => "")).trim());
}

/** Parses a manifest without a Content-Type, which a registry does not store: from its `mediaType` or its fields. */
export function readManifest(bytes: Uint8Array): Manifest | undefined {
  for (const assumed of [OCI_MANIFEST, OCI_INDEX, ""]) {
    try {
      return parseManifest(bytes, assumed);
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error;
    }
  }
  return undefined;
}

/** The entries of a folder; none if it does not exist. */
export async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const code = systemCode(error);
    // Any other error, such as a missing permission, must not pass for an empty folder.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return [];
    throw error;
  }
}
