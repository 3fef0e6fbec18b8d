import {
  askedCredentialsNotes,
  crossesNetworkPlainly,
} from "../../config/access/asked-credentials.ts";
import { CacheClient, CacheFault } from "../../node/cache-client.ts";
import type { Finding } from "../../node/findings.ts";
import type { JournalDocument } from "../../node/journal.ts";
import type { NodeContext } from "../../node/node-context.ts";
import type { DesiredState } from "../../node/plan.ts";

/** What a cache that asks for credentials means for a plan. */
export interface AskedOfPlan {
  /** The wired registries for which it asks. */
  readonly asking: readonly string[];
  readonly notes: readonly string[];
}

export function askedOfPlan(
  { runtime }: Pick<NodeContext, "runtime">,
  { cache, namespaces }: Pick<DesiredState, "cache" | "namespaces">,
  all: readonly string[],
): AskedOfPlan {
  const registries = namespaces.filter((name) => all.includes(name));
  const { title, credentialUse: use } = runtime;
  return {
    asking: registries,
    notes: askedCredentialsNotes({ registries, cache: new URL(cache), title, use }),
  };
}

/** A check reports what is on the node: it does not wait long for the cache. */
const CHECK_MS = 1_000;

/** What a check says of it. Nothing if the cache does not answer, or if there is no running node to ask from. */
export async function askedFindings(
  { runtime, filesOnly }: NodeContext,
  { desired }: JournalDocument,
): Promise<Finding[]> {
  if (filesOnly) return [];
  const asked = await new CacheClient(desired.cache, desired.cacheCa)
    .registries(CHECK_MS)
    .catch((error: unknown) => {
      if (error instanceof CacheFault) return undefined;
      throw error;
    });
  const registries = desired.namespaces.filter((name) => asked?.asking.includes(name));
  if (registries.length === 0) return [];
  const cache = new URL(desired.cache);
  const { title, credentialUse: use } = runtime;
  const [consequence = "", warning] = askedCredentialsNotes({ registries, cache, title, use });
  const names = registries.join(", ");
  const finding: Finding = {
    code: "credentials-asked",
    severity: "note",
    what: `${desired.cache} asks for credentials for ${names}`,
    consequence,
    advice: "nothing to do: this is what access in its entrepot.yaml says",
  };
  if (warning === undefined || !crossesNetworkPlainly(cache)) return [finding];
  const plain: Finding = {
    code: "credentials-in-plain-text",
    severity: "warning",
    what: `${title} reaches ${desired.cache} without TLS, and gives it credentials for ${names}`,
    consequence: "whoever listens on the way to the cache reads them",
    advice:
      "give the cache a certificate (tls in entrepot.yaml), and wire the node to its https:// address",
  };
  return [plain, finding];
}
