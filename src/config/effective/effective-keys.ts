import { type DocumentedKey, documentedKeys, OVERRIDES } from "../key-reference.ts";
import type { Scalar, WrittenKey } from "./written-keys.ts";

/** A setting that is in effect, and where it comes from. */
export interface EffectiveKey {
  readonly key: string;
  /** As it was written, or as the reference has the default; absent if it may be a secret. */
  readonly value?: Scalar | readonly Scalar[];
  readonly source: "file" | "flag" | "environment" | "default";
  /** The place in the file, the flag or the variable; absent for a default. */
  readonly at?: string;
}

export interface KeySources {
  readonly written: readonly WrittenKey[];
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Sections whose keys are in effect even if none of them is written. */
const ALWAYS: ReadonlySet<string> = new Set(["storage", "readiness"]);

/** Every setting that is in effect, but for the defaults of upstreams: what overrides, what is written, defaults. */
export function effectiveKeys({ written, flags, env }: KeySources): EffectiveKey[] {
  const overridden = overriddenKeys(flags, env);
  const names = new Set(overridden.map(({ key }) => key));
  const ofFile = written
    .filter(({ key }) => !names.has(key))
    .map((one): EffectiveKey => Object.assign({ source: "file" as const }, one));
  const known = [...overridden, ...ofFile];
  const roots = new Set(known.map(({ key }) => rootOf(key)));
  const isSet = (name: string): boolean =>
    known.some(
      ({ key }) => key === name || key.startsWith(`${name}.`) || key.startsWith(`${name}[`),
    );
  const defaults = documentedKeys()
    .file.filter(({ name }) => {
      const root = rootOf(name);
      return !isSet(name) && (root === name || ALWAYS.has(root) || roots.has(root));
    })
    .flatMap(defaultOf);
  return [...known, ...defaults];
}

/** What holds for each upstream where nothing else is written. */
export function upstreamDefaults(): EffectiveKey[] {
  return documentedKeys().upstream.flatMap(defaultOf);
}

function overriddenKeys(flags: KeySources["flags"], env: KeySources["env"]): EffectiveKey[] {
  return OVERRIDES.flatMap(([flag, variable, key]): EffectiveKey[] => {
    if (key === "") return [];
    const ofFlag = flags[flag.slice(2)];
    // An empty variable counts as unset.
    const value = ofFlag ?? (env[variable] || undefined);
    if (value === undefined) return [];
    const isSecret = key === "adminToken";
    const origin = ofFlag === undefined ? "environment" : "flag";
    const at = ofFlag === undefined ? variable : flag;
    return [{ key, ...(!isSecret && { value }), source: origin, at }];
  });
}

/** The reference says the default of each key that has one, as the last or the last but one sentence. */
function defaultOf({ name, description }: DocumentedKey): EffectiveKey[] {
  const [, value] = /Default: (.*?)(?:\. [A-Z].*)?\.?$/.exec(description) ?? [];
  return value === undefined ? [] : [{ key: name, value, source: "default" }];
}

function rootOf(key: string): string {
  return key.split(/[.[]/, 1)[0] ?? key;
}
