import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { type Manifest, ManifestError, parseManifest } from "../../oci/manifest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../oci/media-types.ts";
import { parseRepositoryName, type RepositoryName, type UpstreamName } from "../../oci/names.ts";
import { describeSystemError, systemCode } from "../../store/storage-fault.ts";

/** Longer than any digest that a registry writes down as a link. */
const LONGEST_LINK = 1024;

/** A folder that cannot be taken over. The message says why. */
export class AdoptionError extends Error {
  override readonly name = "AdoptionError";
}

/** A content in a registry's folder. */
export interface FoundBlob {
  readonly digest: Digest;
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/**
 * Refuses what can be refused before there is a store.
 *
 * @throws AdoptionError
 */
export async function mustBeAdoptable(
  { folder, upstream }: { readonly folder: string; readonly upstream: UpstreamName },
  configured: ReadonlyMap<UpstreamName, unknown>,
): Promise<void> {
  mustBeConfigured(upstream, configured);
  await registryRoot(folder);
}

export function mustBeConfigured(
  upstream: UpstreamName,
  configured: ReadonlyMap<UpstreamName, unknown>,
): void {
  if (configured.has(upstream)) return;
  const others = [...configured.keys()].join(", ");
  throw new AdoptionError(
    `${upstream} is not configured, so nobody could pull what it had. Configured are: ${others}`,
  );
}

/** Where below a folder its registry is. */
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
    `${folder} is no registry's folder: it has no docker/registry/v2 with blobs and repositories. Name what registry:2 has as rootdirectory, most often /var/lib/registry`,
  );
}

/**
 * Names of repositories: folders that hold `_manifests` or `_layers`, at any depth. Links to folders
 * are followed, as somebody may have moved some to another disk, but not back to a folder above.
 */
export async function* repositories(
  top: string,
  name = "",
  above: readonly string[] = [],
): AsyncGenerator<RepositoryName> {
  const found = await names(join(top, name));
  if (found.length === 0) return;
  const real = await realpath(join(top, name));
  if (above.includes(real)) return;
  const repository = parseRepositoryName(name);
  if (repository && (found.includes("_manifests") || found.includes("_layers"))) yield repository;
  for (const child of found) {
    if (child.startsWith("_")) continue;
    yield* repositories(top, name === "" ? child : `${name}/${child}`, [...above, real]);
  }
}

/** Contents by their place in a registry's folder. */
export async function* blobsOf(root: string): AsyncGenerator<FoundBlob> {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const top = join(root, "blobs", algorithm);
    for (const folder of await names(top)) {
      for (const hex of await names(join(top, folder))) {
        const digest = parseDigest(`${algorithm}:${hex}`);
        const path = join(top, folder, hex, "data");
        const facts = await stat(path).catch(() => undefined);
        if (digest && facts?.isFile()) yield { digest, path, size: facts.size };
      }
    }
  }
}

/** The digest that a link of a registry names, if it names one. */
export async function linkedDigest(path: string): Promise<Digest | undefined> {
  const facts = await stat(path).catch(() => undefined);
  // Whatever else has its name may be without end, or never begin.
  if (!facts?.isFile() || facts.size > LONGEST_LINK) return undefined;
  return parseDigest((await readFile(path, "utf8").catch(() => "")).trim());
}

/** A registry keeps no Content-Type: the manifest tells it, or its form does. */
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

/** What is in a folder; nothing where it is not there. */
export async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const code = systemCode(error);
    // A folder that may not be read is not an empty one.
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return [];
    throw error;
  }
}
