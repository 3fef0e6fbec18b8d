import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Position, Problem } from "../parsing/problems.ts";
import { UPSTREAM_ALIASES } from "../settings.ts";
import { firstTaken } from "./accepted-value.ts";

/** Where a setting came from. */
export interface Origin extends Position {
  /** The key or the argument, as its own format calls it: `proxy.ttl`, `-p 5010:5000`. */
  readonly what: string;
}

/** Something that has no equal here, and why, or what to do in its place. */
export interface LeftOver {
  readonly from: Origin;
  readonly why: string;
}

/** A setting that was carried over. */
export interface Carried {
  readonly at: Path;
  readonly from: Origin;
  /** What has to be known beside where it came from. */
  readonly note: string | undefined;
}

/** A registry:2's folder whose content can be taken over. */
export interface Adoptable {
  readonly upstream: string;
  readonly folder: string;
}

/** An entrepot.yaml in the making: what it will hold, where each line came from, and what it lacks. */
export class ImportedConfig {
  readonly value: Record<string, unknown> = {};
  readonly carried: Carried[] = [];
  readonly left: LeftOver[] = [];
  readonly problems: Problem[] = [];
  readonly adoptable: Adoptable[] = [];
  readonly #named = new Map<string, Origin>();

  /** Adds an upstream. Returns false, with a problem reported, where it is there already. */
  upstream(name: string, from: Origin): boolean {
    const own = UPSTREAM_ALIASES.get(name) ?? name;
    const earlier = this.#named.get(own);
    if (earlier) {
      const where = `${earlier.file}:${earlier.line}`;
      this.refuse(from, `${name} is cached already (${where}): one upstream is written once`);
      return false;
    }
    this.#named.set(own, from);
    this.#put(["upstreams", name], {});
    this.carried.push({ at: ["upstreams", name], from, note: undefined });
    return true;
  }

  /** Sets what the schema takes of several ways to write it; else it is left over, with a reason. */
  set(at: Path, candidates: readonly unknown[], from: Origin, note?: string): void {
    const taken = firstTaken(at, candidates);
    if (taken === undefined) {
      const key = at.filter((_, index) => index !== 1 || at[0] !== "upstreams").join(".");
      const shown = candidates.map((one) => JSON.stringify(one))[0] ?? "";
      this.leave(from, `it cannot be set so here (${key}: ${shown})`);
      return;
    }
    this.#put(at, taken);
    this.carried.push({ at, from, note });
  }

  /** Says where a part of what was set came from. */
  note(at: Path, from: Origin): void {
    if (this.#isSet(at)) this.carried.push({ at, from, note: undefined });
  }

  leave(from: Origin, why: string): void {
    this.left.push({ from, why });
  }

  refuse({ file, line, column, what }: Origin, message: string): void {
    this.problems.push({
      file,
      line,
      column,
      message: what === "" ? message : `${what}: ${message}`,
    });
  }

  /** Where the setting at a path came from, or else what it is part of. */
  originOf(at: Path): Origin | undefined {
    for (let length = at.length; length > 0; length -= 1) {
      const wanted = at.slice(0, length).join("\0");
      const found = this.carried.find((one) => one.at.join("\0") === wanted);
      if (found) return found.from;
    }
    return undefined;
  }

  #isSet(at: Path): boolean {
    let current: unknown = this.value;
    for (const segment of at) {
      if (typeof current !== "object" || current === null) return false;
      current = Reflect.get(current, segment);
    }
    return current !== undefined;
  }

  #put(at: Path, value: unknown): void {
    let current = this.value;
    for (const segment of at.slice(0, -1)) {
      const below = current[String(segment)];
      // Only this method fills the value, and what is not a last segment always is an object.
      const next = (below ?? {}) as Record<string, unknown>;
      current[String(segment)] = next;
      current = next;
    }
    current[String(at.at(-1))] = value;
  }
}

/** The origin of a value in a YAML file. */
export function originIn(source: YamlSource, at: Path, what = nameOf(at)): Origin {
  const { file = "", line = 1, column = 1 } = source.problem(at, "");
  return { file, line, column, what };
}

/** `caches[0].volume.size`. */
export function nameOf(at: Path): string {
  return at
    .map((segment) => (typeof segment === "number" ? `[${segment}]` : `.${String(segment)}`))
    .join("")
    .replace(/^\./, "");
}
