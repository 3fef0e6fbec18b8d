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
const fileSchema = z.looseObject({ registry: z.array(registrySchema).optional() });

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
  const parsed = fileSchema.safeParse(document.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const what = `${issue?.path.join(".")}: ${issue?.message}`;
    return { registries: [], defects: [{ at: { file }, what }] };
  }
  const lines = document.headers.filter(({ path }) => path.join(".") === "registry");
  const registries = (parsed.data.registry ?? []).map((entry, index) =>
    placedRegistry(entry, file, lines[index]?.line ?? 1),
  );
  return { registries, defects: [] };
}

function placedRegistry(
  entry: z.infer<typeof registrySchema>,
  file: string,
  line: number,
): PlacedRegistry {
  const { insecure, blocked } = entry;
  const location = entry.location ?? entry.prefix ?? "";
  return {
    file,
    line,
    // An empty prefix stands for the location.
    prefix: entry.prefix === undefined || entry.prefix === "" ? location : entry.prefix,
    location,
    ...(insecure === undefined ? {} : { insecure }),
    ...(blocked === undefined ? {} : { blocked }),
    ...(entry["mirror-by-digest-only"] ? { mirrorByDigestOnly: true } : {}),
    mirrors: (entry.mirror ?? []).map(mirrorOf),
  };
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
