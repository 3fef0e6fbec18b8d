import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { ensurePackage } from "../../../scripts/components/npm-package.mjs";
import type { Manifest } from "../pods/helm.ts";

/** Kubernetes's own client for JavaScript, made from the OpenAPI document of a version. */
const CLIENTS = {
  "1.32.0": {
    name: "@kubernetes/client-node@1.0.0",
    integrity:
      "sha512-a8NSvFDSHKFZ0sR1hbPSf8IDFNJwctEU5RodSCNiq/moRXWmrdmqhb1RRQzF+l+TSBaDgHw3YsYNxxE92STBzw==",
  },
  "1.34.0": {
    name: "@kubernetes/client-node@1.4.0",
    integrity:
      "sha512-Zge3YvF7DJi264dU1b3wb/GmzR99JhUpqTvp+VGHfwZT+g7EOOYNScDJNZwXy9cszyIGPIs0VHr+kk8e95qqrA==",
  },
  "1.36.0": {
    name: "@kubernetes/client-node@2.0.1",
    integrity:
      "sha512-evJgmEtgArEYlj6DNkMGjK41IrFK/hEwb5lWVxx0VRBWybQpnvi+2TtA19mLgVfRHfqX5yjHObX6e9W7LEZBjw==",
  },
} as const;

export type KubernetesVersion = keyof typeof CLIENTS;
export const KUBERNETES_VERSIONS: readonly KubernetesVersion[] = ["1.32.0", "1.34.0", "1.36.0"];

/** A type of the API: its fields, and which of them have to be there. */
interface Model {
  readonly types: ReadonlyMap<string, string>;
  readonly required: readonly string[];
}

const attributes = z.array(z.object({ baseName: z.string(), type: z.string() }));

/** The API of a version of Kubernetes, as far as it was asked for. */
export class KubernetesModels {
  readonly #folder: string;
  readonly #models = new Map<string, Promise<Model | undefined>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What is wrong with a manifest: fields that do not exist, are missing, or have another type. */
  async problems({ apiVersion, kind, ...rest }: Manifest): Promise<readonly string[]> {
    const version = apiVersion.split("/").at(-1) ?? "";
    const type = `V${version.slice(1)}${kind}`;
    if ((await this.#model(type)) === undefined) return [`${apiVersion} ${kind} does not exist`];
    return await this.#check({ apiVersion, kind, ...rest }, type, kind);
  }

  async #check(value: unknown, type: string, at: string): Promise<readonly string[]> {
    if (type === "any" || type === "object") return [];
    const list = /^Array<(.*)>$/.exec(type)?.[1];
    if (list !== undefined) {
      if (!Array.isArray(value)) return [`${at} is no list`];
      return await this.#all(value.map((item, index) => [item, list, `${at}[${index}]`]));
    }
    if (["string", "number", "boolean", "Date", "IntOrString"].includes(type)) {
      return isOf(value, type) ? [] : [`${at} is no ${type}: ${JSON.stringify(value)}`];
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return [`${at} is no mapping: ${JSON.stringify(value)}`];
    }
    const map = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
    const entries = Object.entries(value);
    if (map !== undefined) {
      return await this.#all(entries.map(([key, item]) => [item, map, `${at}.${key}`]));
    }
    const model = await this.#model(type);
    if (!model) throw new Error(`${at} has a type that is not known: ${type}`);
    const known = entries.filter(([key]) => model.types.has(key));
    return [
      ...entries
        .filter(([key]) => !model.types.has(key))
        .map(([key]) => `${at}.${key} does not exist`),
      ...model.required
        .filter((key) => !Object.hasOwn(value, key))
        .map((key) => `${at}.${key} is missing`),
      ...(await this.#all(
        known.map(([key, item]) => [item, model.types.get(key) ?? "any", `${at}.${key}`]),
      )),
    ];
  }

  async #all(parts: readonly (readonly [unknown, string, string])[]): Promise<readonly string[]> {
    const found = await Promise.all(parts.map(([value, type, at]) => this.#check(value, type, at)));
    return found.flat();
  }

  #model(type: string): Promise<Model | undefined> {
    const known = this.#models.get(type) ?? this.#read(type);
    this.#models.set(type, known);
    return known;
  }

  async #read(type: string): Promise<Model | undefined> {
    const file = path.join(this.#folder, "dist/gen/models", `${type}.js`);
    if (!(await Bun.file(file).exists())) return undefined;
    const text = await readFile(file, "utf8");
    const listed = /\.attributeTypeMap = (\[[\s\S]*?\n\]);/.exec(text)?.[1] ?? "[]";
    const types = attributes.parse(JSON.parse(listed));
    const declared = await readFile(file.replace(/\.js$/, ".d.ts"), "utf8");
    return {
      types: new Map(types.map(({ baseName, type: of }) => [baseName, of])),
      // `'name': string;`, and `'name'?: string;` where it may be missing.
      required: Array.from(declared.matchAll(/^ {4}'([^']+)': /gm), ([, name]) => name ?? ""),
    };
  }
}

export async function kubernetesModels(version: KubernetesVersion): Promise<KubernetesModels> {
  const { name, integrity } = CLIENTS[version];
  return new KubernetesModels(await ensurePackage(name, integrity));
}

function isOf(value: unknown, type: string): boolean {
  if (type === "IntOrString") return typeof value === "string" || Number.isInteger(value);
  return typeof value === (type === "Date" ? "string" : type);
}
