import { posix } from "node:path";
import type { Position } from "./findings.ts";
import type { FileState } from "./files/node-files.ts";

/** The wiring that the operator requests. */
export interface DesiredState {
  /** Scheme, host and port, without a trailing slash. */
  readonly cache: string;
  /** PEM of the CA of the cache's certificate, if the system does not trust it. */
  readonly cacheCa?: string;
  readonly namespaces: readonly string[];
  /** Whether registries without a directory of their own use the cache too, through `_default`. */
  readonly useDefault: boolean;
  /** Whether to take over foreign hosts.toml files. Their hosts stay, after the cache. */
  readonly adopt: boolean;
  /** Whether to drop the endpoints of deprecated `mirrors`, which otherwise stay after the cache. */
  readonly replace: boolean;
  /** `dial_timeout` of hosts.toml, such as `1s`. */
  readonly dialTimeout: string;
}

/** The desired state of one file. `undefined` means that the file has to be absent. */
export interface Target {
  readonly path: string;
  /**
   * config: a change needs a restart. hosts: names mirrors, and takes effect without one. copy: a file
   * that others name, such as a certificate.
   */
  readonly kind: "config" | "hosts" | "copy";
  readonly after: FileState | undefined;
  /** The file while a failing cache is removed from it. Equals `after` if it does not name the cache. */
  readonly withoutCache: FileState | undefined;
  /** The purpose of the file, in a few words. */
  readonly why: string;
}

/** A target whose file still differs from it. */
export interface Change extends Target {
  readonly before: FileState | undefined;
}

/** A reason why the plan is blocked. Nothing is written as long as there is one. */
export interface Obstacle {
  readonly code: string;
  readonly at?: Position;
  readonly what: string;
  readonly advice: string;
}

export interface Plan {
  readonly desired: DesiredState;
  /** All files of the wiring, in the order of writing. */
  readonly targets: readonly Target[];
  readonly changes: readonly Change[];
  /** Why the runtime has to be restarted. Undefined if it does not have to be. */
  readonly restartReason: string | undefined;
  /** Namespaces that use the cache once the plan is applied. */
  readonly wired: readonly string[];
  readonly notes: readonly string[];
  readonly obstacles: readonly Obstacle[];
  /** The directory of the files that name mirrors: the one that `config_path` will name. */
  readonly certsDir: string;
  /** The command that restarts the runtime. Undefined if none is needed or only files are changed. */
  readonly restartMethod: string | undefined;
}

/** Whether two states have the same bytes, or both are absent. Mode and owner are not compared. */
export function sameState(a: FileState | undefined, b: FileState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a.bytes, b.bytes) === 0;
}

/**
 * Groups consecutive copies into one directory, or removals of them, so that they are written as one
 * step. Between two single steps the directory would have a state that nobody configured.
 */
export function groupChanges<T extends Pick<Target, "path" | "kind" | "after">>(
  changes: readonly T[],
): T[][] {
  const groups: T[][] = [];
  for (const change of changes) {
    const group = groups.at(-1);
    const [last] = group ?? [];
    const belongsToGroup =
      last?.kind === "copy" &&
      change.kind === "copy" &&
      posix.dirname(last.path) === posix.dirname(change.path) &&
      (last.after === undefined) === (change.after === undefined);
    if (group && belongsToGroup) group.push(change);
    else groups.push([change]);
  }
  return groups;
}
