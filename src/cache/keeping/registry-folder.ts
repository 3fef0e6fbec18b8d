import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Digest, parseDigest } from "../../oci/digest.ts";
import { parseRepositoryName, type RepositoryName } from "../../oci/names.ts";
import { meaning } from "../../store/storage-fault.ts";

/** A folder that cannot be taken over. The message says why. */
export class AdoptionError extends Error {
  override readonly name = "AdoptionError";
}

/** A content in a registry's folder. */
export interface Found {
  readonly digest: Digest;
  readonly path: string;
  /** In bytes. */
  readonly size: number;
}

/** Where below a folder its registry is. */
export async function registryRoot(folder: string): Promise<string> {
  try {
    await readdir(folder);
  } catch (error) {
    throw new AdoptionError(`${folder} cannot be read: ${meaning(error)}`, { cause: error });
  }
  for (const below of ["docker/registry/v2", "registry/v2", "v2", ""]) {
    const root = join(folder, below);
    const found = await names(root);
    if (found.includes("blobs") && found.includes("repositories")) return root;
  }
  throw new AdoptionError(
    `${folder} is no registry's folder: it has no docker/registry/v2 with blobs and repositories. Name what registry:2 has as rootdirectory, most often /var/lib/registry`,
  );
}

/** Names of repositories: folders that hold `_manifests` or `_layers`, at any depth. */
export async function* repositories(top: string, name = ""): AsyncGenerator<RepositoryName> {
  const found = await names(join(top, name));
  const repository = parseRepositoryName(name);
  if (repository && (found.includes("_manifests") || found.includes("_layers"))) yield repository;
  for (const child of found) {
    if (!child.startsWith("_")) yield* repositories(top, name === "" ? child : `${name}/${child}`);
  }
}

/** Contents by their place in a registry's folder. */
export async function* blobsOf(root: string): AsyncGenerator<Found> {
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

/** What is in a folder; nothing where it is not there. */
export async function names(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
