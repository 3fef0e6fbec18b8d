import path from "node:path";
import {
  type Container,
  isRegistryImage,
  type Mount,
  type Variable,
} from "../container/container.ts";
import { shownPath } from "../container/env-file.ts";
import { UnreadableError } from "../../parsing/read-text.ts";
import type { Origin } from "../../foreign/imported-config.ts";
import { fieldOf, type ComposeNode, textOf } from "./tree.ts";
import type { ServiceContext } from "./service.ts";
import { interpolate } from "./interpolation.ts";

const MAX_BYTES = 1024 * 1024;

/**
 * Adds what a service's Dockerfile builds: if the image comes from registry:2 or registry:3, the
 * files that are copied into it count as mounts, and its variables as the container's.
 */
export function builtContainer(
  container: Container,
  service: ComposeNode,
  { readFile, imported }: ServiceContext,
): Container {
  const build = fieldOf(service, "build");
  if (!build) return container;
  const context = textOf(build) ?? textOf(fieldOf(build, "context")) ?? ".";
  const folder = path.resolve(build.folder, context);
  const file = path.resolve(folder, textOf(fieldOf(build, "dockerfile")) ?? "Dockerfile");
  const inline = fieldOf(build, "dockerfile_inline");
  let text = textOf(inline);
  try {
    text ??= readFile(file, MAX_BYTES);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    return container;
  }
  const origin = (line: number, what: string): Origin =>
    inline ? inline.from : { file: shownPath(file), line, column: 1, what };
  const image = readDockerfile(text, folder, origin);
  if (!image) return container;
  if (!inline) imported.alsoRead(shownPath(file));
  return {
    ...container,
    image: image.from,
    environment: [...image.environment, ...container.environment],
    mounts: [...image.mounts, ...container.mounts],
    command: container.command.length > 0 ? container.command : image.command,
    entrypoint: container.entrypoint ?? image.entrypoint,
  };
}

interface BuiltImage {
  readonly from: string;
  readonly environment: readonly Variable[];
  readonly mounts: readonly Mount[];
  readonly command: readonly string[];
  readonly entrypoint: readonly string[] | undefined;
}

/** The last stage of a Dockerfile; undefined if it does not begin with a registry. */
function readDockerfile(
  text: string,
  folder: string,
  origin: (line: number, what: string) => Origin,
): BuiltImage | undefined {
  const args = new Map<string, string>();
  const stages = new Map<string, string>();
  let from = "";
  let environment: Variable[] = [];
  let mounts: Mount[] = [];
  let command: string[] = [];
  let entrypoint: string[] | undefined;
  for (const { line, instruction, rest: raw } of instructions(text)) {
    const rest = interpolate(raw, (name) => args.get(name));
    const words = rest.split(/\s+/).filter((word) => word !== "" && !word.startsWith("--"));
    const at = origin(line, instruction);
    if (instruction === "FROM") {
      const [image = "", , stage] = words;
      from = stages.get(image.toLowerCase()) ?? image;
      if (stage !== undefined) stages.set(stage.toLowerCase(), from);
      [environment, mounts, command, entrypoint] = [[], [], [], undefined];
    } else if (instruction === "ARG" || instruction === "ENV") {
      for (const [name, value] of assignments(rest)) {
        args.set(name, value);
        if (instruction === "ENV") environment.push({ name, value, from: at });
      }
    } else if ((instruction === "COPY" || instruction === "ADD") && !/--from=/.test(rest)) {
      mounts.push(...copied(rest, words, folder, at));
    } else if (instruction === "CMD") command = commandWords(rest);
    else if (instruction === "ENTRYPOINT") entrypoint = commandWords(rest);
  }
  return isRegistryImage(from) ? { from, environment, mounts, command, entrypoint } : undefined;
}

function instructions(
  text: string,
): { readonly line: number; readonly instruction: string; readonly rest: string }[] {
  const found: { line: number; instruction: string; rest: string }[] = [];
  let continued = "";
  let first = 1;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    if (/^\s*#/.test(raw)) continue;
    if (continued === "") first = index + 1;
    continued += raw.replace(/\\\s*$/, " ");
    if (/\\\s*$/.test(raw)) continue;
    const [, instruction = "", rest = ""] = /^\s*(\w+)\s+(.*)$/s.exec(continued) ?? [];
    if (instruction !== "")
      found.push({ line: first, instruction: instruction.toUpperCase(), rest });
    continued = "";
  }
  return found;
}

/** `NAME=VALUE …`, or the old form `NAME VALUE`. */
function assignments(text: string): [string, string][] {
  const pairs = [...text.matchAll(/([A-Za-z_]\w*)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)/g)];
  if (pairs.length > 0) {
    return pairs.map(([, name = "", value = ""]) => [name, value.replace(/^(["'])(.*)\1$/s, "$2")]);
  }
  const [, name = "", value = ""] = /^(\w+)\s+(.*)$/s.exec(text) ?? [];
  return name === "" ? [] : [[name, value.trim()]];
}

function copied(rest: string, words: readonly string[], folder: string, from: Origin): Mount[] {
  const list = rest.includes("[") ? commandWords(rest.slice(rest.indexOf("["))) : words;
  const target = list.at(-1) ?? "";
  return list.slice(0, -1).map((source) => {
    const name = target.endsWith("/") ? path.posix.join(target, path.basename(source)) : target;
    return {
      source: { folder: path.join(folder, source) },
      target: name.replace(/(?<=.)\/+$/, ""),
      from,
    };
  });
}

function commandWords(text: string): string[] {
  const list = /^\s*\[([\s\S]*)\]\s*$/.exec(text)?.[1];
  if (list === undefined) return ["/bin/sh", "-c", text];
  return [...list.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = ""]) => word);
}
