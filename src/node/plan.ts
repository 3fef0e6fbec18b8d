import { posix } from "node:path";
import type { Position } from "./findings.ts";
import type { FileState } from "./files/node-files.ts";

/** What the operator asks for. */
export interface DesiredState {
  /** Scheme, host and port, without a trailing slash. */
  readonly cache: string;
  /** PEM of the authority of the cache's certificate, where it is no public one. */
  readonly cacheCa?: string;
  readonly namespaces: readonly string[];
  /** Every registry without a directory of its own goes to the cache too. */
  readonly useDefault: boolean;
  /** Takes hosts.toml files in that somebody else wrote. */
  readonly adopt: boolean;
  /** Leaves the endpoints of old `mirrors` out, where they would stay behind the cache. */
  readonly replace: boolean;
  /** As hosts.toml has it: `1s`. */
  readonly dialTimeout: string;
}

/** How one file has to be. `undefined` for bytes means that it has to be absent. */
export interface Target {
  readonly path: string;
  readonly kind: "config" | "hosts" | "copy";
  readonly after: FileState | undefined;
  /** How it has to be while the cache is taken out; the same as `after` where it is no mirror's. */
  readonly out: FileState | undefined;
  /** What the file is for, in a few words. */
  readonly why: string;
}

/** A target whose file is not yet so. */
export interface Change extends Target {
  readonly before: FileState | undefined;
}

/** Something because of which nothing is written. */
export interface Obstacle {
  readonly code: string;
  readonly at?: Position;
  readonly what: string;
  readonly advice: string;
}

export interface Plan {
  readonly desired: DesiredState;
  /** Everything that the wiring consists of, in the order in which it has to be written. */
  readonly targets: readonly Target[];
  readonly changes: readonly Change[];
  /** Whether the runtime has to be restarted, and why. */
  readonly restart: string | undefined;
  /** Namespaces that ask the cache once this is done. */
  readonly wired: readonly string[];
  readonly notes: readonly string[];
  readonly obstacles: readonly Obstacle[];
  /** The one directory of mirrors that will be in force. */
  readonly certsDir: string;
  /** How the runtime would be restarted, where it has to be. */
  readonly restartWay: string | undefined;
}

export function sameState(a: FileState | undefined, b: FileState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a.bytes, b.bytes) === 0;
}

/**
 * Changes in their order, where copies into one directory that come or go one after the other are
 * one: between two of them the directory would say something that nobody wrote.
 */
export function combine<T extends Pick<Target, "path" | "kind" | "after">>(
  changes: readonly T[],
): T[][] {
  const groups: T[][] = [];
  for (const change of changes) {
    const group = groups.at(-1);
    const [last] = group ?? [];
    const isOne =
      last?.kind === "copy" &&
      change.kind === "copy" &&
      posix.dirname(last.path) === posix.dirname(change.path) &&
      (last.after === undefined) === (change.after === undefined);
    if (group && isOne) group.push(change);
    else groups.push([change]);
  }
  return groups;
}
