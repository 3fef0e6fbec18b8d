import { type Address, parseAddress } from "../parsing/address.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ImportedConfig, PublishedAddress } from "./imported-config.ts";

/** A port of the host that leads to one of the container. */
export interface PublishedPort extends PublishedAddress {
  readonly containerPort: number;
}

const ANY_HOST = "0.0.0.0";
const LOOPBACK = "127.0.0.1";
const DOCKER_HUB = "docker.io";
const DEFAULTS = { listen: `${ANY_HOST}:5000`, admin: `${LOOPBACK}:5001` } as const;

/**
 * Gives an imported configuration the addresses that it has inside a container: any of the
 * container's own. Who may reach them is decided by what is published, which is returned.
 *
 * @param adminTokenFile for the admin port, which needs a token where others could reach it
 */
export function listenInContainer(
  imported: ImportedConfig,
  adminTokenFile: string,
): PublishedPort[] {
  const taken = new Set<number>();
  const published: PublishedPort[] = [];
  const origin = imported.originOf(["listen"]) ?? imported.settings[0]?.from;
  if (!origin) return [];
  const publish = (
    address: Address,
    at: Path,
    write: (port: number) => unknown,
    upstream?: string,
  ): void => {
    // Registries at several addresses of the host may have the same port.
    let containerPort = address.port;
    while (taken.has(containerPort)) containerPort += 1;
    taken.add(containerPort);
    const addresses = publishedAt(address, imported.published.get(upstream ?? "") ?? []);
    const ports = addresses.map(({ host, port }) => ({ host, port, containerPort }));
    // Nothing is lost of the others, which an upstream of entrepot.yaml could not have.
    const kept = addresses.filter((one) => !isSame(one, address)).map(({ from }) => from);
    imported.dropWarnings(kept);
    published.push(...ports);
    const note = `published as ${ports.map(formatPublishedPort).join(", ")}`;
    imported.set(at, [write(containerPort)], imported.originOf(at) ?? origin, note);
  };
  const { listen, admin, upstreams } = imported.value;
  const main = addressOf(listen, DEFAULTS.listen);
  publish(main, ["listen"], anyHost, DOCKER_HUB);
  for (const [name, upstream] of entriesOf(upstreams)) {
    const own = Object.fromEntries(entriesOf(upstream));
    if (own["listen"] !== undefined) {
      const address = addressOf(own["listen"], DEFAULTS.listen);
      publish(address, ["upstreams", name, "listen"], anyHost, name);
    } else if (typeof own["port"] === "number") {
      const address = { host: main.host, port: own["port"] };
      publish(address, ["upstreams", name, "port"], (port) => port, name);
    }
  }
  publish(addressOf(admin, DEFAULTS.admin), ["admin"], anyHost);
  imported.set(["adminTokenFile"], [adminTokenFile], origin, ADMIN_TOKEN_NOTE);
  return published;
}

/**
 * Of the addresses at which an old registry was published, entrepot.yaml has one, and Docker can go on with
 * all of them. If it has another address, that was chosen instead.
 */
function publishedAt(
  { host, port }: Address,
  before: readonly PublishedAddress[],
): readonly PublishedAddress[] {
  const isKept = before.some((one) => isSame(one, { host, port }));
  return isKept ? before : [{ host: host === ANY_HOST ? undefined : host, port }];
}

function isSame(one: PublishedAddress, { host, port }: Address): boolean {
  return one.port === port && (one.host ?? ANY_HOST) === host;
}

const ADMIN_TOKEN_NOTE = "other containers could reach the admin port";

const anyHost = (port: number): string => `${ANY_HOST}:${port}`;

/** `[ADDRESS:]PORT:PORT`, as in `ports` of a Compose file. */
export function formatPublishedPort({ host, port, containerPort }: PublishedPort): string {
  const address = host?.includes(":") ? `[${host}]` : host;
  return `${address === undefined ? "" : `${address}:`}${port}:${containerPort}`;
}

function addressOf(value: unknown, otherwise: string): Address {
  const text = typeof value === "string" || typeof value === "number" ? String(value) : otherwise;
  const address = parseAddress(text, ANY_HOST) ?? parseAddress(otherwise, ANY_HOST);
  if (!address) throw new Error(`${text} was imported as an address, and is none`);
  return address;
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
