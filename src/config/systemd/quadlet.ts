import path from "node:path";
import {
  bareContainer,
  type Container,
  isRegistry,
  type Mount,
} from "../distribution/container/container.ts";
import { readEnvFile, readNamedFile } from "../distribution/container/env-file.ts";
import {
  type HostFolders,
  parseMountFields,
  parseVariable,
  parseVolume,
} from "../distribution/container/notation.ts";
import { readContainer } from "../distribution/container/read-container.ts";
import { mark } from "../distribution/container/unresolved.ts";
import { type Format, type ImportContext, reportProblems } from "../distribution/format.ts";
import type { RegistrySettings, Setting } from "../distribution/registry-settings.ts";
import { ForeignFile } from "../foreign/foreign-file.ts";
import { readManifests } from "../kubernetes/kubernetes.ts";
import { UnreadableError } from "../parsing/read-text.ts";
import { withDropIns } from "./drop-ins.ts";
import { withPodmanArguments } from "./podman-arguments.ts";
import { hasSection, QUADLET_LINES, UnitFile } from "./unit-file.ts";
import { identityOf } from "./unit-identity.ts";
import { UnitValues } from "./unit-values.ts";

const MAX_BYTES = 1024 * 1024;
const SECTIONS = ["Container", "Pod", "Volume", "Kube", "Network", "Image", "Build"];

/** Podman's Quadlet: `.container` and the units that it refers to, podman-systemd.unit(5). */
export const quadlet: Format = {
  title: "a Quadlet unit of Podman",
  matches: ({ name, text }) =>
    /\.(?:container|pod|volume|kube|network|image|build)$/.test(name) ||
    SECTIONS.some((section) => hasSection(text, section)),
  read: (files, context) => new Units(files, context).registries(),
};

/** The units that are imported together, and those beside them that they refer to. */
class Units {
  readonly #context: ImportContext;
  readonly #given: readonly ForeignFile[];

  constructor(files: readonly ForeignFile[], context: ImportContext) {
    this.#given = files;
    this.#context = context;
  }

  registries(): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const countBefore = imported.problems.length;
    const found = this.#given.flatMap((file) => {
      const unit = reportProblems(file.name, this.#context, () => this.#parse(file));
      if (unit?.has("Kube")) return this.#kube(this.#valuesOf(unit, "Kube"));
      if (!unit?.has("Container")) return [];
      const container = this.#container(unit);
      return (container && readContainer(container, readFile, imported)) ?? [];
    });
    const [first] = this.#given;
    if (found.length === 0 && imported.problems.length === countBefore && first) {
      const at = { file: first.name, line: 1, column: 1, what: "" };
      imported.reject(at, "no container has the image registry:2 or registry:3");
    }
    return found;
  }

  #parse({ name, text }: Pick<ForeignFile, "name" | "text">): UnitFile {
    return withDropIns(UnitFile.parse(name, text, QUADLET_LINES), QUADLET_LINES, this.#context);
  }

  #container(unit: UnitFile): Container | undefined {
    const { imported, readFile } = this.#context;
    const values = this.#valuesOf(unit, "Container");
    const folders = foldersOf(values);
    const image = this.#imageOf(values);
    const from = {
      ...(image?.from ?? { file: unit.name, line: 1, column: 1 }),
      what: path.basename(unit.name),
    };
    const pod = this.#podOf(values);
    const networks = [values, pod].flatMap((one) => one?.words("Network") ?? []);
    const container: Container = {
      ...bareContainer(from, image?.value ?? ""),
      entrypoint: entrypointOf(values.text("Entrypoint")?.value),
      command: values.unit
        .all("Container", "Exec")
        .slice(-1)
        .flatMap((line) => values.split(line).map(({ value }) => value)),
      environment: [
        ...values
          .words("EnvironmentFile")
          .flatMap(({ value, from: at }) => readEnvFile(value, at, folders, readFile, imported)),
        ...values.variables(),
        ...secretVariables(values),
      ],
      mounts: [values, pod].flatMap((one) => (one ? this.#mounts(one) : [])),
      ports: [values, pod].flatMap((one) => one?.texts("PublishPort") ?? []),
      network: networks.find(({ value }) => value === "host") ?? networks[0],
      extraHosts: [values, pod].flatMap((one) => one?.texts("AddHost") ?? []),
      nameServers: [values, pod].flatMap((one) => one?.texts("DNS") ?? []),
      user: userOf(values),
    };
    const own = withPodmanArguments(container, values, folders);
    const whole = pod ? withPodmanArguments(own, pod, folders) : own;
    if (!isRegistry(whole)) return undefined;
    if (
      values.identity.isTemplate &&
      values.unit.last("Install", "DefaultInstance") === undefined
    ) {
      const example = unit.name.replace(/@(?=\.[^.]*$)/, "@NAME");
      imported.reject(from, `is a template: import a link to it for each instance, ${example}`);
      return undefined;
    }
    return whole;
  }

  /** A `.kube` unit runs the manifests that it names. */
  #kube(values: UnitValues): RegistrySettings[] {
    const { imported, readFile } = this.#context;
    const { working } = foldersOf(values);
    const named = [...values.words("Yaml"), ...values.words("ConfigMap")];
    const files = named.flatMap(({ value, from }) => {
      const file = readNamedFile(value, from, working, readFile, imported);
      return file ? [new ForeignFile(file.file, file.text)] : [];
    });
    return readManifests(files, this.#context, {
      published: values.texts("PublishPort"),
      isOnHostNetwork: values.words("Network").some(({ value }) => value === "host"),
    });
  }

  #valuesOf(unit: UnitFile, section: string): UnitValues {
    const identity = identityOf(unit.name, this.#context.home);
    const instance = unit.last("Install", "DefaultInstance")?.value;
    const isDefault = identity.isTemplate && instance !== undefined;
    return new UnitValues(
      unit,
      section,
      isDefault ? { ...identity, name: `${identity.name}${instance}`, instance } : identity,
      this.#context,
    );
  }

  /** The image, also where an `.image` or `.build` unit names it. */
  #imageOf(values: UnitValues): Setting | undefined {
    const image = values.text("Image");
    const unit = image && this.#referenced(image, values);
    if (!unit) return image;
    const value =
      unit.last("Image", "ImageTag")?.value ??
      unit.last("Image", "Image")?.value ??
      unit.last("Build", "ImageTag")?.value;
    return { value: value ?? image.value, from: image.from };
  }

  #podOf(values: UnitValues): UnitValues | undefined {
    const pod = values.text("Pod");
    const unit = pod && this.#referenced(pod, values);
    return unit && this.#valuesOf(unit, "Pod");
  }

  #mounts(values: UnitValues): Mount[] {
    const folders = foldersOf(values);
    const volumes = values.words("Volume").map((volume) => {
      const [source = "", ...rest] = volume.value.split(":");
      const target = rest.length > 0 ? this.#volumeSource(source, volume, values) : source;
      return parseVolume([target, ...rest].join(":"), volume.from, folders);
    });
    const mounts = values.words("Mount").map(({ value, from }) => {
      const text = value.replace(/(?<=(?:^|,)(?:source|src)=)[^,]+/, (source) =>
        this.#volumeSource(source, { value, from }, values),
      );
      return parseMountFields(text, from, folders);
    });
    const secrets = values.words("Secret").map(({ value, from }): Mount | undefined => {
      const { name, fields } = secretFields(value);
      const target = fields.get("target") ?? name;
      if (fields.get("type") === "env" || !target.startsWith("/")) return undefined;
      return { source: { unresolved: secretTitle(name) }, target, from };
    });
    return [...volumes, ...mounts, ...secrets].filter((mount) => mount !== undefined);
  }

  /** The source of a volume: a `.volume` unit names one of Podman's, or a folder of the host. */
  #volumeSource(source: string, volume: Setting, values: UnitValues): string {
    if (!source.endsWith(".volume")) return source;
    const unit = this.#referenced({ value: source, from: volume.from }, values);
    if (!unit) return mark(source);
    const settings = this.#valuesOf(unit, "Volume");
    const device = settings.text("Device")?.value;
    const isBind =
      settings.text("Type")?.value === "bind" ||
      /(?:^|,)r?bind(?:,|$)/.test(settings.text("Options")?.value ?? "");
    if (device !== undefined && isBind) return device;
    return settings.text("VolumeName")?.value ?? `systemd-${path.basename(source, ".volume")}`;
  }

  /** The unit that a value names; undefined if it names none, or after a problem was reported. */
  #referenced(reference: Setting, values: UnitValues): UnitFile | undefined {
    const name = reference.value;
    if (!/^[^/]+\.(?:pod|volume|image|build)$/.test(name)) return undefined;
    const { readFile, imported } = this.#context;
    const file = path.join(path.dirname(values.unit.name), name);
    const given = this.#given.find((one) => path.basename(one.name) === name);
    try {
      if (given) return this.#parse(given);
      const unit = this.#parse({ name: file, text: readFile(file, MAX_BYTES) });
      imported.alsoRead(file);
      return unit;
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      imported.reject(reference.from, `${file} ${error.message}: import it too`);
      return undefined;
    }
  }
}

/** Where relative paths in a unit lead. */
function foldersOf({ unit, identity }: UnitValues): HostFolders {
  return { working: path.resolve(path.dirname(unit.name)), home: identity.home };
}

/** `Secret=NAME,type=env,target=VARIABLE`: only Podman has the values. */
function secretVariables(values: UnitValues) {
  return values.words("Secret").flatMap(({ value, from }) => {
    const { name, fields } = secretFields(value);
    if (fields.get("type") !== "env") return [];
    const target = fields.get("target") ?? name;
    const written = `${target}=${mark(secretTitle(name))}`;
    return [parseVariable(written, { ...from, what: `Secret=${name}` })];
  });
}

function secretTitle(name: string): string {
  return `Podman's secret ${name}`;
}

function secretFields(text: string): { name: string; fields: ReadonlyMap<string, string> } {
  const [name = "", ...fields] = text.split(",");
  return {
    name,
    fields: new Map(
      fields.map((field): [string, string] => {
        const [key = "", ...value] = field.split("=");
        return [key, value.join("=")];
      }),
    ),
  };
}

/** One program, or a JSON array of words. */
function entrypointOf(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  if (!text.startsWith("[")) return [text];
  try {
    const words: unknown = JSON.parse(text);
    return Array.isArray(words) ? words.map(String) : [text];
  } catch {
    return [text];
  }
}

function userOf(values: UnitValues): string | undefined {
  const [user, group] = [values.text("User")?.value, values.text("Group")?.value];
  return user === undefined || group === undefined ? user : `${user}:${group}`;
}
