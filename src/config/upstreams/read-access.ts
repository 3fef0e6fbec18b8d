import type { Address } from "../parsing/address.ts";
import { isLoopbackHost } from "../parsing/host-overlap.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { UpstreamEntry } from "../upstream-schema.ts";
import type { UpstreamContext } from "./upstream-context.ts";
import { type AccessEntry, type AccessSettings, hasMode } from "../access/access-settings.ts";

/** In milliseconds, as the next one. */
const TTL = 300_000;
const STALE_FOR = 3_600_000;

type Entry = Pick<UpstreamEntry, "access" | "accessTtl" | "accessStaleFor" | "auth">;
type Context = Pick<UpstreamContext, "location" | "report">;

/** Reads who may pull from an upstream; `undefined` if nothing is written, so that whoever reaches the cache may. */
export function readAccess(at: Path, entry: Entry, context: Context): AccessSettings | undefined {
  const { access, auth } = entry;
  const report = (key: string, message: string): void =>
    context.report([...at, key], message, "key");
  const entries = access === undefined ? [] : readEntries([...at, "access"], access, context);
  const settings = {
    entries,
    ttl: entry.accessTtl ?? TTL,
    staleFor: entry.accessStaleFor ?? STALE_FOR,
    usesAuthForPublic: auth?.useFor === "public",
  };
  if (!hasMode(settings, "upstream")) {
    const reason = "is of use only with access: upstream: add that, or omit this";
    if (entry.accessTtl !== undefined) report("accessTtl", reason);
    if (entry.accessStaleFor !== undefined) report("accessStaleFor", reason);
    if (auth?.useFor !== undefined) context.report([...at, "auth", "useFor"], reason, "key");
  } else if (auth && auth.useFor === undefined && !hasOther(entries)) {
    report(
      "auth",
      "is used for nothing with access: upstream, where clients send their own credentials: add useFor: public, so that public content is pulled with it, or omit it",
    );
  }
  return entries.length === 0 ? undefined : settings;
}

function readEntries(
  at: Path,
  access: NonNullable<Entry["access"]>,
  { location, report }: Context,
): AccessEntry[] {
  if (typeof access === "string") return [{ mode: access, from: location(at) }];
  const rest = access.findIndex(({ repositories }) => repositories === undefined);
  if (rest >= 0 && rest < access.length - 1) {
    const message = `is never reached: entry ${rest + 1} is about all repositories, so write it last`;
    report([...at, rest + 1], message, "value");
  }
  return access.map(({ repositories, access: mode }, index) => {
    if (repositories?.length === 0) {
      const message = "is empty, so that it matches nothing: add a pattern, or omit it for all";
      report([...at, index, "repositories"], message, "value");
    }
    return { ...(repositories ? { repositories } : {}), mode, from: location([...at, index]) };
  });
}

/** Whether the cache's own credentials are of use for some repositories: those of another mode. */
function hasOther(entries: readonly AccessEntry[]): boolean {
  return (
    entries.some(({ mode }) => mode === "open" || mode === "clients") ||
    entries.every(({ repositories }) => repositories !== undefined)
  );
}

/**
 * Why credentials of clients would cross the network in plain text; `undefined` if they do not, or the
 * owner wants that.
 */
export function plainCredentialsProblem(
  access: AccessSettings | undefined,
  address: Pick<Address, "host">,
  { hasTls, isWanted }: { readonly hasTls: boolean; readonly isWanted: boolean },
): string | undefined {
  if (!hasMode(access, "upstream", "clients")) return undefined;
  if (hasTls || isWanted || isLoopbackHost(address.host)) return undefined;
  return `has clients send their credentials, and at ${address.host} they would cross the network in plain text: set tls, listen on a loopback address, or write plainCredentials: true if something else encrypts them`;
}
