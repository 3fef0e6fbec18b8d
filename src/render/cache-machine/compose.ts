import { Document, isMap, isScalar, isSeq, visit } from "yaml";
import { yamlText } from "../../config/foreign/write-config.ts";
import { illegalInstruction } from "./service.ts";
import { header, type Target } from "../target.ts";

/** The image's user: `scripts/image.mjs` gives it the data. */
export const IMAGE_USER = 65_532;
const IMAGE = "entrepot:latest";
const PROGRAM = "/usr/local/bin/entrepot";
const DATA = "/var/lib/entrepot";
const SERVICE = ["services", "entrepot"];
/** Where the container has its configuration. */
export const CONFIG_IN_CONTAINER = "/etc/entrepot/entrepot.yaml";

/** A file or a folder of the host, or a volume that exists, that the container can read. */
export type ReadOnlyMount = { readonly target: string } & (
  { readonly path: string } | { readonly volume: string }
);

/** What differs between one cache in Docker Compose and another. */
export interface ComposeCache {
  /** The project's name, if it is not that of the file's folder. */
  readonly name?: string;
  /** The path of entrepot.yaml, from the Compose file. */
  readonly config: string;
  /** `[ADDRESS:]PORT:PORT` each, or the host's network. */
  readonly network: readonly string[] | "host";
  /** `HOST:ADDRESS` each. */
  readonly extraHosts: readonly string[];
  readonly nameServers: readonly string[];
  /** Files that entrepot.yaml names. */
  readonly files: readonly ReadOnlyMount[];
  /** The data of old registries, for a service that takes it over. */
  readonly adoptable: readonly ReadOnlyMount[];
}

/** A Compose file for a cache. */
export function composeText(cache: ComposeCache): string {
  const { name, config, network, extraHosts, nameServers, files, adoptable } = cache;
  const configuration: ReadOnlyMount = { path: config, target: CONFIG_IN_CONTAINER };
  const image = {
    image: IMAGE,
    pull_policy: "never",
  };
  const confined = {
    read_only: true,
    cap_drop: ["ALL"],
    security_opt: ["no-new-privileges:true"],
  };
  const data = { type: "volume", source: "data", target: DATA };
  const volumes = new Map<string, string>();
  const mounts = (list: readonly ReadOnlyMount[]): object[] =>
    list.map((mount) => mountOf(mount, volumes));
  const content = {
    ...(name === undefined ? {} : { name }),
    services: {
      entrepot: {
        ...image,
        restart: "unless-stopped",
        command: ["serve"],
        environment: { ENTREPOT_CONFIG: CONFIG_IN_CONTAINER },
        user: `${IMAGE_USER}:${IMAGE_USER}`,
        ...confined,
        ...(network === "host" ? { network_mode: "host" } : { ports: network.map(escaped) }),
        ...(extraHosts.length === 0 ? {} : { extra_hosts: extraHosts.map(escaped) }),
        ...(nameServers.length === 0 ? {} : { dns: nameServers.map(escaped) }),
        volumes: [...mounts([configuration, ...files]), data],
        ulimits: { nofile: 65_536 },
        stop_grace_period: "30s",
        healthcheck: {
          test: ["CMD", PROGRAM, "health"],
          interval: "15s",
          timeout: "10s",
          retries: 3,
        },
      },
      ...(adoptable.length === 0
        ? {}
        : {
            adopt: {
              ...image,
              profiles: ["adopt"],
              command: ["adopt", "--from", CONFIG_IN_CONTAINER],
              user: "0:0",
              ...confined,
              cap_add: ["CHOWN", "DAC_OVERRIDE"],
              network_mode: "none",
              volumes: [...mounts([configuration, ...files, ...adoptable]), data],
            },
          }),
    },
    volumes: {
      data: null,
      ...Object.fromEntries(
        [...volumes].map(([volume, key]) => [key, { name: escaped(volume), external: true }]),
      ),
    },
  };
  const document = new Document(content, {
    aliasDuplicateObjects: false,
    // podman-compose reads 0:0 as a number to the base 60 if it is not quoted.
    compat: "yaml-1.1",
  });
  comment(document, [...SERVICE, "pull_policy"], "It is loaded from a file, by `docker load`.");
  comment(
    document,
    [...SERVICE, "environment"],
    "For `docker compose exec entrepot entrepot status` and the health check, too.",
  );
  comment(
    document,
    [...SERVICE, "stop_grace_period"],
    "Entrepot waits up to 15 s for requests in flight before it exits.",
  );
  comment(
    document,
    ["services", "adopt", "user"],
    "Old registries ran as root. What this service writes belongs to the cache's user.",
  );
  visit(document, {
    Pair: (_, { key, value }) => {
      const isPorts = isScalar(key) && key.value === "ports";
      if (isSeq(value) && value.items.every(isScalar)) value.flow = !isPorts;
    },
  });
  return yamlText(document, { nullStr: "", flowCollectionPadding: false });
}

/** @param volumes those outside this project, with their keys in the file */
function mountOf(mount: ReadOnlyMount, volumes: Map<string, string>): object {
  const target = escaped(mount.target);
  if ("path" in mount) {
    // Docker would make a folder of that name if there is no such file.
    const bind = { create_host_path: false };
    return { type: "bind", source: escaped(mount.path), target, read_only: true, bind };
  }
  const key = volumes.get(mount.volume) ?? `old-${volumes.size + 1}`;
  volumes.set(mount.volume, key);
  return { type: "volume", source: key, target, read_only: true };
}

/** Compose replaces variables in all values. */
function escaped(text: string): string {
  return text.replaceAll("$", "$$$$");
}

function comment(document: Document, at: readonly string[], text: string): void {
  const parent: unknown = document.getIn(at.slice(0, -1));
  if (!isMap(parent)) return;
  for (const { key } of parent.items) {
    if (isScalar(key) && key.value === at.at(-1)) key.commentBefore = ` ${text}`;
  }
}

/** deploy/compose.yaml holds the same text. */
export function exampleText(): string {
  return composeText({
    config: "./entrepot.yaml",
    network: ["5000:5000"],
    extraHosts: [],
    nameServers: [],
    files: [],
    adoptable: [],
  });
}

export const compose: Target = {
  name: "compose",
  isCacheItself: true,
  title: "the cache with Docker Compose or podman-compose",
  notes: {
    where: "compose.yaml in its own directory, with entrepot.yaml next to it",
    apply: "`docker compose up -d`; after a change to entrepot.yaml, `docker compose restart`",
    caveats: [
      "`npm run image` builds the image. Load it with `docker load -i dist/entrepot-image-linux-amd64.tar` (or arm64).",
      'Add the port of every upstream that has a `port` to `ports`. A `listen` at 127.0.0.1 is one inside the container: write 0.0.0.0 there, and the address of the host in `ports`, such as "127.0.0.1:5010:5010".',
      "entrepot.yaml and the files that it references must be readable by user 65532. `entrepot import` makes its output readable by its owner only: run `chown 65532 entrepot.yaml`.",
      illegalInstruction("If the container ends with exit code 132"),
      "A bind mount used instead of the volume must be owned by user 65532.",
      "`entrepot import --compose` writes the file for old registries: with their ports, and a service that takes over their blobs.",
    ],
  },
  render: (_, notes) => [{ path: "compose.yaml", text: `${header(notes)}\n${exampleText()}` }],
};
