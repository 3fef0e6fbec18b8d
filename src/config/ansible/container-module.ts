import {
  bareContainer,
  type Container,
  type Mount,
  type Variable,
} from "../distribution/container/container.ts";
import { readEnvFile } from "../distribution/container/env-file.ts";
import {
  type HostFolders,
  parseMountFields,
  parseVolume,
} from "../distribution/container/notation.ts";
import { unresolvedIn } from "../distribution/container/unresolved.ts";
import type { ImportContext } from "../distribution/format.ts";
import type { Setting } from "../distribution/registry-settings.ts";
import { asText, UnknownValue } from "./expression.ts";
import type { Task } from "./tasks.ts";
import { isMapping, type Mapping } from "./variable-files.ts";

const MODULE =
  /^(?:(?:community\.(?:docker|general)|containers\.podman)\.)?(?:docker_container|podman_container|docker_swarm_service)$/;

/** The options of the modules for containers, under all their names. */
const OPTIONS = {
  environment: ["env"],
  envFiles: ["env_file", "env_files"],
  ports: ["published_ports", "ports", "publish", "published"],
  volumes: ["volumes", "volume"],
  mounts: ["mounts", "mount"],
  command: ["command", "cmd", "args"],
  entrypoint: ["entrypoint"],
  network: ["network_mode", "net", "network", "networks"],
  hosts: ["etc_hosts", "add_hosts", "hosts"],
  nameServers: ["dns_servers", "dns"],
  user: ["user"],
} as const;

/** The module of a task that runs a container; undefined if it is about something else. */
export function containerModule(values: Mapping): string | undefined {
  return Object.keys(values).find((key) => MODULE.test(key));
}

/** Reads the options of a container from a task. What depends on more than constants is reported. */
export class ContainerModule {
  readonly #task: Task;
  readonly #module: string;
  readonly #options: Mapping;
  readonly #context: ImportContext;
  readonly #folders: HostFolders;

  /** @param options those of the module, with all templates replaced */
  constructor(task: Task, module: string, options: Mapping, context: ImportContext) {
    this.#task = task;
    this.#module = module;
    this.#options = options;
    this.#context = context;
    this.#folders = { working: "/", home: "~" };
  }

  /** The container as far as its image and its variables tell what it is. */
  container(): Container {
    const { imported, readFile } = this.#context;
    const title = textOf(this.#options["name"]) || this.#module;
    const filed = this.#list(OPTIONS.envFiles).flatMap(({ value, from }) =>
      readEnvFile(value, from, this.#folders, readFile, imported),
    );
    const networks = this.#list(OPTIONS.network);
    return {
      ...bareContainer(this.#origin("image", title), textOf(this.#options["image"])),
      entrypoint: this.#words(OPTIONS.entrypoint),
      command: this.#words(OPTIONS.command) ?? [],
      environment: [...filed, ...this.#variables()],
      mounts: this.#mounts(),
      ports: this.#list(OPTIONS.ports),
      network: networks.find(({ value }) => value === "host") ?? networks[0],
      extraHosts: this.#list(OPTIONS.hosts),
      nameServers: this.#list(OPTIONS.nameServers),
      user: this.#list(OPTIONS.user)[0]?.value,
    };
  }

  /** Options that are nothing but an expression whose value is not known. */
  unknownOptions(): Setting[] {
    return Object.values(OPTIONS)
      .flat()
      .flatMap((key) => {
        const value = this.#options[key];
        const isWhole = typeof value === "string" && /^\u{E000}[^\u{E001}]*\u{E001}$/u.test(value);
        return isWhole ? [{ value: unresolvedIn(value) ?? "", from: this.#origin(key) }] : [];
      });
  }

  #origin(key: string, what = key) {
    return this.#task.origin([this.#module, key], what);
  }

  #option(names: readonly string[]): { readonly key: string; readonly value: unknown } | undefined {
    const key = names.find((name) => (this.#options[name] ?? null) !== null);
    return key === undefined ? undefined : { key, value: this.#options[key] };
  }

  /** A list, also one that is written with commas, and a mapping as `KEY:VALUE`. */
  #list(names: readonly string[]): Setting[] {
    const option = this.#option(names);
    if (!option) return [];
    const { key, value } = option;
    const from = this.#origin(key);
    if (Array.isArray(value)) {
      return value.map((one: unknown, index) => ({
        value: isMapping(one) ? textOf(one["name"]) : textOf(one),
        from: this.#task.origin([this.#module, key, index], key),
      }));
    }
    if (isMapping(value)) {
      return Object.entries(value).map(([name, one]) => ({
        value: `${name}:${textOf(one)}`,
        from,
      }));
    }
    return splitList(textOf(value)).map((one) => ({ value: one, from }));
  }

  #words(names: readonly string[]): readonly string[] | undefined {
    const option = this.#option(names);
    if (!option) return undefined;
    if (Array.isArray(option.value)) return option.value.map(textOf);
    return textOf(option.value).match(/\S+/g) ?? [];
  }

  #variables(): Variable[] {
    const option = this.#option(OPTIONS.environment);
    if (!option) return [];
    const { key, value } = option;
    if (isMapping(value)) {
      return Object.entries(value).map(([name, one]) => ({
        name,
        value: textOf(one),
        from: this.#task.origin([this.#module, key, name], `${key}.${name}`),
      }));
    }
    return this.#list(OPTIONS.environment).map(({ value: text, from }) => {
      const [name = "", ...rest] = text.split("=");
      return { name, value: rest.join("="), from: { ...from, what: `${key}.${name}` } };
    });
  }

  #mounts(): Mount[] {
    const volumes = this.#list(OPTIONS.volumes).map(({ value, from }) =>
      parseVolume(value, from, this.#folders),
    );
    const option = this.#option(OPTIONS.mounts);
    const listed: readonly unknown[] = Array.isArray(option?.value) ? option.value : [];
    const mounts = listed.map((one, index) => {
      const from = this.#task.origin([this.#module, option?.key ?? "mounts", index], "mounts");
      if (typeof one === "string") return parseMountFields(one, from, this.#folders);
      if (!isMapping(one)) return undefined;
      const fields = ["type", "source", "target"].map((name) => `${name}=${textOf(one[name])}`);
      return parseMountFields(fields.join(","), from, this.#folders);
    });
    return [...volumes, ...mounts].filter((mount) => mount !== undefined);
  }
}

/** Splits at commas, but not at those in an expression whose value is not known. */
function splitList(text: string): string[] {
  const parts = [""];
  let isMarked = false;
  for (const character of text) {
    if (character === "\u{E000}") isMarked = true;
    if (character === "\u{E001}") isMarked = false;
    if (character === "," && !isMarked) parts.push("");
    else parts[parts.length - 1] += character;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

function textOf(value: unknown): string {
  try {
    return value === undefined || value === null ? "" : asText(value);
  } catch (error) {
    if (!(error instanceof UnknownValue)) throw error;
    return JSON.stringify(value);
  }
}
