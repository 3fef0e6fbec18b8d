import type { Origin, RunningPlace } from "../../foreign/imported-config.ts";
import type { Setting } from "../registry-settings.ts";

/** An environment variable of a container. */
export interface Variable {
  readonly name: string;
  /** Undefined for a name alone, which takes its value from the environment of the Docker client. */
  readonly value: string | undefined;
  readonly from: Origin;
}

/** What is mounted: a path on the host, a volume of Docker's, a text, or what could not be found out. */
export type MountSource =
  | { readonly folder: string }
  | {
      readonly volume: string;
      /** The folder in the volume that is mounted, if not all of it. */
      readonly subpath?: string;
    }
  | {
      readonly content: string;
      /** Where the text begins. */
      readonly origin: Origin;
      /** Where its settings are written, by their keys, if not in the lines after that. */
      readonly originOf?: (key: string) => Origin;
    }
  | { readonly unresolved: string };

/** A file or directory of a container that comes from elsewhere. */
export interface Mount {
  readonly source: MountSource;
  /** The path in the container. */
  readonly target: string;
  readonly from: Origin;
}

/**
 * A container as a Compose service, a command line or another format describes it. Texts may contain
 * marks of variables without a known value: see unresolved.ts.
 */
export interface Container {
  readonly from: Origin;
  readonly image: string;
  /** How it is named where it is stopped; undefined if it has no name. */
  readonly runsIn: RunningPlace | undefined;
  /** Replaces the image's entrypoint. */
  readonly entrypoint: readonly string[] | undefined;
  /** Replaces the image's command; empty if it does not. */
  readonly command: readonly string[];
  readonly environment: readonly Variable[];
  readonly mounts: readonly Mount[];
  /** `[[ADDRESS:]PORT:]CONTAINERPORT[/PROTOCOL]` each. */
  readonly ports: readonly Setting[];
  /** Such as `host`, `none` or `container:vpn`; undefined for a network of Docker's. */
  readonly network: Setting | undefined;
  /** Set if all ports of the image are published, at ports that are chosen at each start. */
  readonly publishesAll: Setting | undefined;
  /** `HOST:ADDRESS` each, as in `--add-host` and `extra_hosts`. */
  readonly extraHosts: readonly Setting[];
  /** Addresses of name servers. */
  readonly nameServers: readonly Setting[];
  /** `USER[:GROUP]` of the process, if it is not the image's. */
  readonly user: string | undefined;
}

/** A container of which only the image is known: the start for what describes more. */
export function bareContainer(from: Origin, image: string): Container {
  return {
    from,
    image,
    runsIn: undefined,
    entrypoint: undefined,
    command: [],
    environment: [],
    mounts: [],
    ports: [],
    network: undefined,
    publishesAll: undefined,
    extraHosts: [],
    nameServers: [],
    user: undefined,
  };
}

const IMAGE =
  /^(?:(?:docker\.io|registry-1\.docker\.io|index\.docker\.io|mirror\.gcr\.io)\/)?(?:library\/)?registry(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$|(?:^|\/)distribution\/distribution(?::|@|$)/;

/** The paths at which registry:2 and registry:3 read their configuration. */
export const CONFIG_FILES: readonly string[] = [
  "/etc/docker/registry/config.yml",
  "/etc/distribution/config.yml",
];

/** Whether a text is the name of an image of registry:2 or registry:3. */
export function isRegistryImage(image: string): boolean {
  return IMAGE.test(image);
}

/**
 * Whether a container that {@link isRegistry} does not recognize may be one all the same, with its
 * settings inside the image: by the name of its image or by its data directory.
 */
export function mayBeRegistry({ image, mounts }: Container): boolean {
  return (
    /(?:^|\/)(?:docker-)?(?:registry|distribution)(?:[:@]|$)/.test(image) ||
    mounts.some(({ target }) => target === "/var/lib/registry")
  );
}

/** What to do about a container that may be a registry. */
export const SETTINGS_IN_IMAGE =
  "may be a registry with its settings inside the image: if it is one, copy its config.yml out (docker cp), and import that as well";

/**
 * Recognizes a registry by its image, or by its variables, its mounts and its command if the image
 * has another name.
 */
export function isRegistry({
  image,
  environment,
  mounts,
  command,
  entrypoint,
}: Container): boolean {
  const words = [...(entrypoint ?? []), ...command];
  const isServing =
    words.includes("serve") &&
    words.some((word) => /^\/.*\.ya?ml$/.test(word)) &&
    /(?:^|[/-])(?:registry|distribution)\b/.test(`${image} ${words.join(" ")}`);
  return (
    isRegistryImage(image) ||
    isServing ||
    environment.some(({ name }) => name.startsWith("REGISTRY_PROXY_")) ||
    mounts.some(({ target }) => CONFIG_FILES.includes(target))
  );
}
