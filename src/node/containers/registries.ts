import { posix } from "node:path";
import { z } from "zod";
import type { Registry, RegistryMirror } from "../../config/containers/registries-conf.ts";
import { OWN_FILE } from "../../config/containers/registries-conf.ts";
import { TomlDocument, TomlSyntaxError } from "../files/toml-document.ts";
import type { FileView } from "../files/node-files.ts";
import { lossyText } from "../files/node-files.ts";
import type { Position } from "../findings.ts";

const SYSTEM = "/etc/containers";
/** The one file that this tool writes. */
export const OWN_PATH = `${SYSTEM}/registries.conf.d/${OWN_FILE}`;

/** A `[[registry]]` and where it is. */
export interface PlacedRegistry extends Registry {
  readonly file: string;
  readonly line: number;
}

/** Why every pull of these tools fails: they read all files, or none. */
export interface RegistriesDefect {
  readonly at: Position;
  readonly what: string;
}

/** The files of containers-registries.conf(5), as one user's tools read them. */
export interface Registries {
  /** In the order in which they are read. */
  readonly files: readonly string[];
  /** All of them; of the same prefix, the last one replaces the others entirely. */
  readonly registries: readonly PlacedRegistry[];
  readonly defects: readonly RegistriesDefect[];
}

const mirrorSchema = z.looseObject({
  location: z.string(),
  insecure: z.boolean().optional(),
  "pull-from-mirror": z.string().optional(),
});
const registrySchema = z.looseObject({
  prefix: z.string().optional(),
  location: z.string().optional(),
  insecure: z.boolean().optional(),
  blocked: z.boolean().optional(),
  "mirror-by-digest-only": z.boolean().optional(),
  mirror: z.array(mirrorSchema).optional(),
});
const namesSchema = z.looseObject({ registries: z.array(z.string()).nullish() });
const fileSchema = z.looseObject({
  registry: z.array(registrySchema).optional(),
  /** Version 1 of the format, of which every name becomes an entry. */
  registries: z
    .looseObject({ block: namesSchema.optional(), insecure: namesSchema.optional() })
    .optional(),
});

/**
 * @param home of a user, whose own registries.conf replaces that of the system, and whose drop-ins are
 *   read after all others
 */
export function readRegistries(view: FileView, home = "/root"): Registries {
  const own = posix.join(home, ".config/containers");
  const main = [own, SYSTEM]
    .map((directory) => posix.join(directory, "registries.conf"))
    .find((path) => view.read(path) !== undefined);
  const dropIns = [SYSTEM, own].flatMap((directory) => dropInsOf(view, directory));
  const files = [...(main === undefined ? [] : [main]), ...dropIns];
  const read = files.map((file) => readFile(view, file));
  return {
    files,
    registries: read.flatMap((it) => it.registries),
    defects: read.flatMap((it) => it.defects),
  };
}

function dropInsOf(view: FileView, directory: string): string[] {
  const parent = posix.join(directory, "registries.conf.d");
  return (view.list(parent) ?? [])
    .filter((name) => name.endsWith(".conf"))
    .map((name) => posix.join(parent, name));
}

function readFile(view: FileView, file: string): Omit<Registries, "files"> {
  const text = lossyText(view.read(file)?.bytes ?? new Uint8Array());
  let document: TomlDocument;
  try {
    document = new TomlDocument(text);
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error;
    const { line, column, message } = error;
    return { registries: [], defects: [{ at: { file, line, column }, what: message }] };
  }
  if (text.startsWith("\uFEFF")) {
    const what = "it begins with a byte order mark";
    return { registries: [], defects: [{ at: { file, line: 1 }, what }] };
  }
  const parsed = fileSchema.safeParse(withLowerKeys(document.value));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const what = `${issue?.path.join(".")}: ${issue?.message}`;
    return { registries: [], defects: [{ at: { file }, what }] };
  }
  const lines = document.headers.filter(({ path }) => /^registry\.\d+$/i.test(path.join(".")));
  const entries = (parsed.data.registry ?? []).map((entry, index) => ({
    entry,
    line: lines[index]?.line ?? 1,
  }));
  const defects = entries.flatMap(({ entry, line }) =>
    entryDefects(entry).map((what) => ({ at: { file, line }, what })),
  );
  const registries = [
    ...formerEntries(parsed.data.registries, file),
    ...entries.map(({ entry, line }) => placedRegistry(entry, file, line)),
  ];
  return { registries, defects: [...defects, ...conflicts(registries)] };
}

/** These tools read keys without regard to case. */
function withLowerKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withLowerKeys);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  const entries = Object.entries(value).map(
    ([key, inner]) => [key.toLowerCase(), withLowerKeys(inner)] as const,
  );
  return Object.fromEntries(entries);
}

function entryDefects(entry: z.infer<typeof registrySchema>): string[] {
  const { prefix = "", location = "", mirror = [] } = entry;
  const names = [prefix, location, ...mirror.map((it) => it.location)];
  const url = names.find((name) => /^https?:\/\//.test(name));
  const isDoubled =
    entry["mirror-by-digest-only"] === true &&
    mirror.some((it) => (it["pull-from-mirror"] ?? "") !== "");
  return [
    ...(prefix === "" && location === "" ? ["it has neither a prefix nor a location"] : []),
    ...(url === undefined ? [] : [`${url}: a location has no scheme`]),
    ...(isDoubled ? ["mirror-by-digest-only and pull-from-mirror exclude each other"] : []),
  ];
}

/** Entries of one file for the same prefix have to agree. */
function conflicts(registries: readonly PlacedRegistry[]): RegistriesDefect[] {
  return registries.flatMap((entry, index) => {
    const earlier = registries.slice(0, index).find(({ prefix }) => prefix === entry.prefix);
    const key = (["insecure", "blocked"] as const).find(
      (name) => earlier !== undefined && (earlier[name] ?? false) !== (entry[name] ?? false),
    );
    if (key === undefined) return [];
    const at = { file: entry.file, line: entry.line };
    return [{ at, what: `${entry.prefix} has another entry here, with another value of ${key}` }];
  });
}

function formerEntries(
  former: z.infer<typeof fileSchema>["registries"],
  file: string,
): PlacedRegistry[] {
  const blocked = new Set(former?.block?.registries);
  const insecure = new Set(former?.insecure?.registries);
  const isSet = (names: ReadonlySet<string>, name: string) => (names.has(name) ? true : undefined);
  return [...new Set([...blocked, ...insecure])].map((name) =>
    placedRegistry(
      { location: name, insecure: isSet(insecure, name), blocked: isSet(blocked, name) },
      file,
      1,
    ),
  );
}

function placedRegistry(
  entry: z.infer<typeof registrySchema>,
  file: string,
  line: number,
): PlacedRegistry {
  const { insecure, blocked } = entry;
  const named = withoutSlash(entry.prefix ?? "");
  // Without a location, a wildcard leaves the names as they are.
  const location = withoutSlash(entry.location ?? (isWildcard(named) ? "" : named));
  return {
    file,
    line,
    // An empty prefix stands for the location.
    prefix: named === "" ? location : named,
    location,
    ...(insecure === undefined ? {} : { insecure }),
    ...(blocked === undefined ? {} : { blocked }),
    ...(entry["mirror-by-digest-only"] ? { mirrorByDigestOnly: true } : {}),
    mirrors: (entry.mirror ?? []).map(mirrorOf),
  };
}

function withoutSlash(name: string): string {
  return name.replace(/\/+$/, "");
}

function isWildcard(prefix: string): boolean {
  return prefix.startsWith("*.");
}

function mirrorOf(entry: z.infer<typeof mirrorSchema>): RegistryMirror {
  const { location, insecure, "pull-from-mirror": pullFromMirror } = entry;
  return {
    location,
    ...(insecure === undefined ? {} : { insecure }),
    ...(pullFromMirror === undefined ? {} : { pullFromMirror }),
  };
}

/** The entry for exactly this prefix that is in force. */
export function inForce(
  { registries }: Pick<Registries, "registries">,
  prefix: string,
): PlacedRegistry | undefined {
  return registries.findLast((entry) => entry.prefix === prefix);
}

/**
 * The entry that the names of a registry follow: its own, or else that of the longest wildcard, with the
 * location that it stands for.
 */
export function ruling(
  registries: Pick<Registries, "registries">,
  registry: string,
): PlacedRegistry | undefined {
  const own = inForce(registries, registry);
  if (own !== undefined) return own;
  const [longest] = registries.registries
    .filter(({ prefix }) => isWildcard(prefix) && registry.endsWith(prefix.slice(1)))
    .toSorted((a, b) => b.prefix.length - a.prefix.length);
  const entry = longest && inForce(registries, longest.prefix);
  return entry && { ...entry, location: entry.location === "" ? registry : entry.location };
}

/** Entries for a part of a registry's names, which go before the registry's own. */
export function narrower({ registries }: Registries, registry: string): PlacedRegistry[] {
  return registries.filter(({ prefix }) => prefix.startsWith(`${registry}/`));
}

/** Whether a file of the own name is exactly what `entrepot render` or `entrepot node` write. */
export function isOwnForm(registries: readonly PlacedRegistry[]): boolean {
  return registries.every(({ prefix, location, insecure, blocked, mirrors }) => {
    const [mirror, ...others] = mirrors;
    return (
      prefix === location &&
      !insecure &&
      !blocked &&
      others.length === 0 &&
      mirror?.location.endsWith(`/${prefix}`)
    );
  });
}

/** The homes of users whose tools read files of their own, other than root's. */
export function homesWithRegistries(view: FileView): string[] {
  return (view.list("/home") ?? [])
    .map((name) => posix.join("/home", name))
    .filter((home) => {
      const own = posix.join(home, ".config/containers");
      return dropInsOf(view, own).length > 0;
    });
}
