import { type GlobPattern, matchesAny } from "../parsing/glob-pattern.ts";

/**
 * Who may pull. `open`: whoever reaches the cache. `upstream`: those whom the registry lets, by the
 * credentials that they send. `clients`: those whom the cache's own rules let. `denied`: nobody.
 */
export type AccessMode = "open" | "upstream" | "clients" | "denied";

export const ACCESS_MODES = ["open", "upstream", "clients", "denied"] as const;

/** The mode of some repositories of an upstream. */
export interface AccessEntry {
  /** Absent: all. */
  readonly repositories?: readonly GlobPattern[];
  readonly mode: AccessMode;
  /** Where it is written (`file:line:column`), for messages. */
  readonly from?: string;
}

/** Who may pull from an upstream. */
export interface AccessSettings {
  /** The first one that matches a repository decides. None does: `open`. */
  readonly entries: readonly AccessEntry[];
  /** How long the registry's consent to a client's credentials holds, in milliseconds. */
  readonly ttl: number;
  /** How long it holds while the registry cannot be asked, in milliseconds. */
  readonly staleFor: number;
  /** Whether the cache's own credentials may be sent for content that the registry shows to anybody. */
  readonly usesAuthForPublic: boolean;
}

/** The entry that decides about a repository; absent if none does, so that it is open. */
export function accessEntry(
  access: AccessSettings | undefined,
  repository: string,
): AccessEntry | undefined {
  return access?.entries.find(
    ({ repositories }) => repositories === undefined || matchesAny(repositories, repository),
  );
}

export function accessMode(access: AccessSettings | undefined, repository: string): AccessMode {
  return accessEntry(access, repository)?.mode ?? "open";
}

/** Whether any repository of an upstream has one of these modes. */
export function hasMode(
  access: AccessSettings | undefined,
  ...modes: readonly AccessMode[]
): boolean {
  return access?.entries.some(({ mode }) => modes.includes(mode)) ?? false;
}
