import { Fault } from "../../oci/fault.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import type { Upstream } from "../upstream.ts";

/** Whether a tag that is not found is gone, and not hidden from the client as which the registry was asked. */
export async function isTagDeleted(
  { registry }: Upstream,
  { repository }: RepositoryRef,
): Promise<boolean> {
  if (registry.askedAs === undefined) return true;
  try {
    await registry.listTags(repository, { n: 1 });
    return true;
  } catch (error) {
    if (error instanceof Fault) return false;
    throw error;
  }
}
