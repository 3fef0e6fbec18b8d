import path from "node:path";
import type { ImportedConfig } from "../../foreign/imported-config.ts";
import type { ReadText } from "../../parsing/read-text.ts";
import {
  bareContainer,
  type Container,
  type Mount,
  type MountSource,
  type Variable,
} from "../container/container.ts";
import { readNamedFile } from "../container/env-file.ts";
import {
  type HostFolders,
  inVolume,
  parseVolume,
  sourceOf,
  typedSource,
} from "../container/notation.ts";
import { asWritten, unresolvedIn } from "../container/unresolved.ts";
import type { Setting } from "../registry-settings.ts";
import type { ComposeProject } from "./project.ts";
import { type ComposeNode, entriesOf, fieldOf, itemsOf, nodeAt, textOf } from "./tree.ts";
import { parseEnvFile } from "./dotenv.ts";

export interface ServiceContext {
  readonly project: ComposeProject;
  readonly home: string;
  readonly readFile: ReadText;
  readonly imported: ImportedConfig;
}

/** A text that YAML in Go reads as a number or date and writes in another form, such as 0123. */
const REWRITTEN =
  /^(?:[-+]?(?:0[\d_]+|0[xob][\da-f_]+|[\d_]*_[\d_]*|\d+\.\d*0|\.\d+|\d+\.|\d*\.?\d+e[-+]?\d+|\d{19,}|\.inf)|\+\d.*|\.nan|\d{4}-\d\d?-\d\d?.*)$/i;
/** Compose writes all of these in small letters, as `true` and `false` are already. */
const REWRITTEN_BOOLEAN = /^(?:T(?:rue|RUE)|F(?:alse|ALSE))$/;

/** The container of a service, without its env files: they are only read for registries. */
export function containerOf(service: ComposeNode, context: ServiceContext): Container {
  const { project } = context;
  const mode = fieldOf(service, "network_mode");
  // A service in the network of another one is reached at the ports of that one.
  const host = project.services.get(/^service:(.+)$/.exec(textOf(mode) ?? "")?.[1] ?? "");
  const network = host ? fieldOf(host, "network_mode") : mode;
  return {
    ...bareContainer(service.from, textOf(fieldOf(service, "image")) ?? ""),
    entrypoint: wordsOf(fieldOf(service, "entrypoint")),
    command: wordsOf(fieldOf(service, "command")) ?? [],
    environment: environmentOf(service, context),
    ports: itemsOf(fieldOf(host ?? service, "ports")).map(portOf),
    mounts: [
      ...itemsOf(fieldOf(service, "volumes")).flatMap((node) => volumeOf(node, context)),
      ...itemsOf(fieldOf(service, "configs")).map((node) => grantOf(node, "configs", context)),
      ...itemsOf(fieldOf(service, "secrets")).map((node) => grantOf(node, "secrets", context)),
    ],
    network: network && settingOf(network),
    extraHosts: entriesOf(fieldOf(service, "extra_hosts"), /[=:]/).map(({ key, value, node }) => ({
      value: `${key}:${value ?? ""}`,
      from: node.from,
    })),
    nameServers: itemsOf(fieldOf(service, "dns")).map(settingOf),
    user: textOf(fieldOf(service, "user")),
  };
}

/** The variables of a service's env files, which those of `environment` override. */
export function envFileVariables(service: ComposeNode, context: ServiceContext): Variable[] {
  const { readFile, imported, project } = context;
  return itemsOf(fieldOf(service, "env_file")).flatMap((node): Variable[] => {
    const name = textOf(node) ?? textOf(fieldOf(node, "path")) ?? "";
    const isOptional = textOf(fieldOf(node, "required")) === "false";
    if (isOptional && !canRead(path.resolve(node.folder, name), readFile)) return [];
    const found = readNamedFile(name, node.from, node.folder, readFile, imported);
    if (!found) return [];
    return parseEnvFile(found.text, project.lookup).map(({ name: variable, value, line }) => ({
      name: variable,
      value: value ?? project.lookup(variable),
      from: { file: found.file, line, column: 1, what: variable },
    }));
  });
}

function canRead(file: string, readFile: ReadText): boolean {
  try {
    readFile(file, 1024 * 1024);
    return true;
  } catch {
    return false;
  }
}

function environmentOf(service: ComposeNode, { project, imported }: ServiceContext): Variable[] {
  const environment = fieldOf(service, "environment");
  return entriesOf(environment, /=/).map(({ key, value, node }) => {
    const isNumber = environment && "fields" in environment && "text" in node && node.isPlain;
    if (key.startsWith("REGISTRY_") && isNumber && isRewritten(value ?? "")) {
      imported.reject(
        node.from,
        "is a number, a date or a boolean for Compose, which may write it in another form: put it in quotes",
      );
    }
    // A name alone has its value from the environment of Compose, to which .env belongs.
    return { name: key, value: value ?? project.lookup(key), from: node.from };
  });
}

function isRewritten(value: string): boolean {
  return REWRITTEN.test(value) || REWRITTEN_BOOLEAN.test(value);
}

function settingOf(node: ComposeNode): Setting {
  return { value: textOf(node) ?? "", from: node.from };
}

/** A command as a list, or as a text that Compose splits as a shell does. */
function wordsOf(node: ComposeNode | undefined): string[] | undefined {
  if (!node) return undefined;
  if ("items" in node) return node.items.map((one) => textOf(one) ?? "");
  const text = textOf(node);
  return text === undefined
    ? undefined
    : [...text.matchAll(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g)].map(([word]) =>
        word.replaceAll(
          /"((?:[^"\\]|\\.)*)"|'([^']*)'/g,
          (_, double?: string, single?: string) =>
            double?.replaceAll(/\\(.)/g, "$1") ?? single ?? "",
        ),
      );
}

function portOf(node: ComposeNode): Setting {
  if (!("fields" in node)) return settingOf(node);
  const part = (key: string): string => textOf(fieldOf(node, key)) ?? "";
  const host = part("host_ip").includes(":") ? `[${part("host_ip")}]` : part("host_ip");
  const address = host === "" ? "" : `${host}:`;
  const inside = `${part("target")}/${part("protocol") || "tcp"}`;
  const value = part("published") === "" ? inside : `${address}${part("published")}:${inside}`;
  return { value, from: node.from };
}

function volumeOf(node: ComposeNode, context: ServiceContext): Mount[] {
  const { from } = node;
  const folders: HostFolders = { working: node.folder, home: context.home };
  const text = textOf(node);
  if (text !== undefined) {
    const mount = parseVolume(text, from, folders);
    return mount ? [{ ...mount, source: namedVolume(mount.source, context) }] : [];
  }
  const type = textOf(fieldOf(node, "type")) ?? "";
  const source = textOf(fieldOf(node, "source")) ?? "";
  const target = textOf(fieldOf(node, "target")) ?? "";
  if (source === "" || target === "" || type === "tmpfs") return [];
  const subpath = textOf(nodeAt(node, "volume", "subpath")) ?? "";
  const mounted = namedVolume(inVolume(typedSource(type, source, folders), subpath), context);
  return [{ source: mounted, target: target.replace(/(?<=.)\/+$/, ""), from }];
}

/** A volume by Docker's name, which begins with the project's; or the directory that it stands for. */
function namedVolume(source: MountSource, { project, home }: ServiceContext): MountSource {
  if (!("volume" in source)) return source;
  const { subpath = "" } = source;
  const volume = nodeAt(project.root, "volumes", source.volume);
  const device = textOf(nodeAt(volume, "driver_opts", "device"));
  const options = textOf(nodeAt(volume, "driver_opts", "o")) ?? "";
  if (device !== undefined && /(?:^|,)r?bind(?:,|$)/.test(options)) {
    const folder = sourceOf(device, { working: project.folder, home });
    return "folder" in folder ? { folder: path.join(folder.folder, subpath) } : folder;
  }
  const external = fieldOf(volume, "external");
  const isExternal = external !== undefined && textOf(external) !== "false";
  const name = textOf(fieldOf(volume, "name")) ?? textOf(fieldOf(external, "name"));
  const full = name ?? (isExternal ? source.volume : `${project.name}_${source.volume}`);
  if (unresolvedIn(full) !== undefined) return { unresolved: asWritten(full) };
  return /^[\w.-]+$/.test(full) ? inVolume({ volume: full }, subpath) : { unresolved: full };
}

/** A config or secret of the file that a service gets, as a mount. */
function grantOf(
  node: ComposeNode,
  kind: "configs" | "secrets",
  { project, home }: ServiceContext,
): Mount {
  const name = textOf(node) ?? textOf(fieldOf(node, "source")) ?? "";
  const base = kind === "configs" ? "/" : "/run/secrets";
  const target = path.posix.resolve(base, textOf(fieldOf(node, "target")) ?? name);
  const definition = nodeAt(project.root, kind, name);
  const file = fieldOf(definition, "file");
  const content = fieldOf(definition, "content");
  const variable = textOf(fieldOf(definition, "environment"));
  const fromVariable = variable === undefined ? undefined : project.lookup(variable);
  const text = textOf(content) ?? fromVariable;
  const { from } = node;
  if (file) {
    const folders = { working: file.folder, home };
    return { source: typedSource("bind", textOf(file) ?? "", folders), target, from };
  }
  if (text !== undefined && unresolvedIn(text) === undefined) {
    return { source: { content: text, origin: (content ?? node).from }, target, from };
  }
  return { source: { unresolved: `the ${kind.slice(0, -1)} ${name}` }, target, from };
}
