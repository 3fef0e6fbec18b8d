import type { Path, YamlSource } from "../parsing/yaml-source.ts";
import type { Problem } from "../parsing/problems.ts";
import { UPSTREAM_ALIASES } from "../settings.ts";
import type { RegistryData } from "../registry-data.ts";
import { firstAccepted } from "./accepted-value.ts";
import { ClusterNeeds } from "./cluster-needs.ts";
import type { Origin } from "./origin.ts";

export type { Origin } from "./origin.ts";

/** A setting that has no equivalent in entrepot.yaml. */
export interface UnsupportedSetting {
  readonly from: Origin;
  /** Why it was not imported, or what to do instead. */
  readonly reason: string;
}

/**
 * What a warning is about, the most serious first: a registry may be missing, more machines reach
 * the cache than before, or nodes notice a difference.
 */
export const CONSEQUENCES = ["registry", "reach", "clients"] as const;

export type Consequence = (typeof CONSEQUENCES)[number];

/** What the operator has to know before the configuration is used. */
export interface Warning {
  readonly from: Origin;
  readonly consequence: Consequence;
  readonly message: string;
}

/** A setting that was imported. */
export interface ImportedSetting {
  /** The path in entrepot.yaml. */
  readonly at: Path;
  readonly from: Origin;
  /** A remark for the operator, written behind the origin. */
  readonly note: string | undefined;
}

/** The data of a registry:2 or registry:3 that `entrepot adopt` can take over. */
export interface Adoptable {
  readonly upstream: string;
  readonly data: RegistryData;
}

/** What a job does to an old registry. */
export type JobKind = "restarts" | "collects-garbage";

/** A job of cron or systemd that would be in the way of a migration. `what` of its origin is its command. */
export interface Job {
  readonly from: Origin;
  readonly kind: JobKind;
  /** Where a script that it runs does that, as `file:line`. */
  readonly script: string | undefined;
}

/** A setting of a container, as Docker takes it. */
export interface ContainerSetting {
  readonly value: string;
  readonly from: Origin;
}

/** A port of the host, at one of its addresses or at all of them. */
export interface PublishedAddress {
  readonly from?: Origin;
  readonly host: string | undefined;
  readonly port: number;
}

/** What runs a registry that is replaced, in the terms of the tool that stops it. */
export type RunningPlace =
  | { readonly files: readonly string[]; readonly service: string }
  | { readonly program: string; readonly container: string };

/** An entrepot.yaml built from files of other formats, with the origin of each setting. */
export class ImportedConfig {
  /** The configuration, in the form of entrepot.yaml. */
  readonly value: Record<string, unknown> = {};
  readonly settings: ImportedSetting[] = [];
  readonly unsupported: UnsupportedSetting[] = [];
  /** Shown before everything else. */
  readonly warnings: Warning[] = [];
  /** Errors. The import fails if there are any. */
  readonly problems: Problem[] = [];
  readonly adoptable: Adoptable[] = [];
  /** Files that belong to the given ones: an override file, .env, a mounted config.yml. */
  readonly furtherFiles = new Set<string>();
  /** Jobs that have to go before the old registries are stopped. */
  readonly jobs: Job[] = [];
  readonly replaced: RunningPlace[] = [];
  /** Where the ports of registries in containers are published, by upstream. */
  readonly published = new Map<string, readonly PublishedAddress[]>();
  /** `HOST:ADDRESS` each, and addresses of name servers: settings of containers that a machine has not. */
  readonly extraHosts: ContainerSetting[] = [];
  readonly nameServers: ContainerSetting[] = [];
  /** Whether a registry in a container has the network of its host. */
  isOnHostNetwork = false;
  readonly needs = new ClusterNeeds();
  readonly #upstreams = new Map<string, Origin>();

  /** Adds an upstream. If it already exists, reports a problem and returns false. */
  addUpstream(name: string, from: Origin): boolean {
    const canonicalName = UPSTREAM_ALIASES.get(name) ?? name;
    const earlier = this.#upstreams.get(canonicalName);
    if (earlier) {
      const location = `${earlier.file}:${earlier.line}`;
      this.reject(from, `${name} is already configured (${location}): define each upstream once`);
      return false;
    }
    this.#upstreams.set(canonicalName, from);
    this.#setValue(["upstreams", name], {});
    this.settings.push({ at: ["upstreams", name], from, note: undefined });
    return true;
  }

  /**
   * Sets the first candidate that the schema accepts. If there is none, records the setting as
   * unsupported.
   */
  set(at: Path, candidates: readonly unknown[], from: Origin, note?: string): void {
    const value = firstAccepted(at, candidates);
    if (value === undefined) {
      const key = at.filter((_, index) => index !== 1 || at[0] !== "upstreams").join(".");
      const shown = candidates.map((candidate) => JSON.stringify(candidate))[0] ?? "";
      this.skip(from, `${key} does not accept the value ${shown}`);
      return;
    }
    this.#setValue(at, value);
    this.settings.push({ at, from, note });
  }

  /** Sets what `entrepot adopt --from` takes over for an upstream. */
  adopt(upstream: string, data: RegistryData, from: Origin): void {
    const at = ["upstreams", upstream, "adopt"];
    this.set(at, [data], from, "entrepot adopt --from takes it over");
    if (this.#isSet(at)) this.adoptable.push({ upstream, data });
  }

  /** Takes a setting back that the new place has no use for, and records why. */
  drop(at: Path, reason: string): void {
    const from = this.originOf(at);
    if (!this.#isSet(at) || !from) return;
    this.#removeValue(at);
    const isBelow = (path: Path): boolean => at.every((segment, index) => path[index] === segment);
    const kept = this.settings.filter((setting) => !isBelow(setting.at));
    this.settings.splice(0, this.settings.length, ...kept);
    this.skip(from, reason);
  }

  /** Records where a part of a value was written, if that part is set. */
  recordOrigin(at: Path, from: Origin): void {
    if (this.#isSet(at)) this.settings.push({ at, from, note: undefined });
  }

  /** Records a setting that is not imported. */
  skip(from: Origin, reason: string): void {
    this.unsupported.push({ from, reason });
  }

  /** Records a file that was read although it was not given. */
  alsoRead(file: string): void {
    this.furtherFiles.add(file);
  }

  /** Records what the operator has to know first. */
  warn(from: Origin, message: string, consequence: Consequence = "reach"): void {
    this.warnings.push({ from, message, consequence });
  }

  /** Takes back what was said of settings that are carried over in another way. */
  dropWarnings(origins: readonly (Origin | undefined)[]): void {
    for (const list of [this.warnings, this.unsupported]) {
      for (let index = list.length - 1; index >= 0; index -= 1) {
        if (origins.includes(list[index]?.from)) list.splice(index, 1);
      }
    }
  }

  /** Reports a setting that makes the import fail. */
  reject({ file, line, column, what }: Origin, message: string): void {
    const text = what === "" ? message : `${what}: ${message}`;
    this.problems.push(file === "" ? { message: text } : { file, line, column, message: text });
  }

  /** The origin of the setting at a path of entrepot.yaml, or of its nearest ancestor. */
  originOf(at: Path): Origin | undefined {
    for (let length = at.length; length > 0; length -= 1) {
      const wanted = at.slice(0, length).join("\0");
      const found = this.settings.find((setting) => setting.at.join("\0") === wanted);
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

  #removeValue(at: Path): void {
    let current: unknown = this.value;
    for (const segment of at.slice(0, -1)) {
      if (typeof current !== "object" || current === null) return;
      current = Reflect.get(current, segment);
    }
    const last = at.at(-1);
    if (typeof current === "object" && current !== null && last !== undefined) {
      Reflect.deleteProperty(current, last);
    }
  }

  #setValue(at: Path, value: unknown): void {
    let current = this.value;
    for (const segment of at.slice(0, -1)) {
      const child = current[String(segment)];
      // Only this method writes to the value, and every segment but the last is an object.
      const next = (child ?? {}) as Record<string, unknown>;
      current[String(segment)] = next;
      current = next;
    }
    current[String(at.at(-1))] = value;
  }
}

/** The origin of what an option of the command line says. */
export function originOnCommandLine(what: string): Origin {
  return { file: "", line: 0, column: 0, what };
}

/** The origin of a value in a YAML file. */
export function originIn(source: YamlSource, at: Path, what = formatPath(at)): Origin {
  const { file = "", line = 1, column = 1 } = source.problem(at, "");
  return { file, line, column, what };
}

/** Formats a path as `caches[0].volume.size`. */
export function formatPath(at: Path): string {
  return at
    .map((segment) => (typeof segment === "number" ? `[${segment}]` : `.${String(segment)}`))
    .join("")
    .replace(/^\./, "");
}
