import { Fault } from "../../oci/fault.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RepositoryName, Tag } from "../../oci/names.ts";
import type { Registry } from "../../upstream/registry.ts";

/** What a client asks for, in one repository. */
export type AskedResource =
  | { readonly kind: "manifest"; readonly reference: Tag | Digest }
  | { readonly kind: "blob"; readonly digest: Digest }
  | { readonly kind: "referrers"; readonly digest: Digest }
  | { readonly kind: "tags" };

/** `absent`: the registry says that there is no such thing, as some do of what they hide. */
export type Answer = "shown" | "refused" | "absent";

/**
 * Asks a registry for what a client has asked for, so that its answer is the one that the client would get
 * there. Whether this cache has the thing changes nothing of it.
 *
 * @throws Fault if the registry does not answer
 */
export async function askRegistry(
  registry: Registry,
  repository: RepositoryName,
  resource: AskedResource,
): Promise<Answer> {
  try {
    await ask(registry, repository, resource);
    return "shown";
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (error.detail.kind === "upstream-denied") return "refused";
    if (error.detail.kind === "not-found") return "absent";
    throw error;
  }
}

/**
 * Whether a registry that has shown something of a repository, and now says that another thing is absent, shows
 * anything of it still: some say so of all that they hide.
 */
export async function isStillShown(
  registry: Registry,
  repository: RepositoryName,
): Promise<boolean> {
  try {
    return (await askRegistry(registry, repository, { kind: "tags" })) === "shown";
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // What is not known is not shown.
    return false;
  }
}

async function ask(
  registry: Registry,
  repository: RepositoryName,
  resource: AskedResource,
): Promise<unknown> {
  switch (resource.kind) {
    case "blob":
      return registry.probeBlob(repository, resource.digest);
    case "tags":
      return registry.listTags(repository, { n: 1 });
    case "manifest":
    case "referrers": {
      const reference = resource.kind === "manifest" ? resource.reference : resource.digest;
      return (
        (await registry.headManifest(repository, reference)) ??
        (await registry.getManifest(repository, reference))
      );
    }
  }
}

/** Distinguishes what is asked for inside of a repository. */
export function resourceKey(resource: AskedResource): string {
  switch (resource.kind) {
    case "manifest":
      return `manifest ${resource.reference}`;
    case "blob":
      return `blob ${resource.digest}`;
    case "referrers":
      return `manifest ${resource.digest}`;
    case "tags":
      return "tags";
  }
}
