import type { Origin } from "../foreign/imported-config.ts";
import { parseAddress } from "../parsing/address.ts";
import { isLoopbackHost } from "../parsing/host-overlap.ts";
import { quote } from "../parsing/problems.ts";
import type { Setting } from "./setting.ts";

/** An address of the host at which a container's port is published. */
export interface PublishedAddress {
  readonly host: string;
  /** Set if it is every address, also of IPv6: `host` is the one for IPv4. */
  readonly isEveryHost?: true;
  /** Absent if Docker chooses a port at each start. */
  readonly port?: number;
  readonly from: Origin;
}

/** From where a registry can be reached. */
export type Reach =
  /** At these addresses of the host; at least one. */
  | { readonly kind: "published"; readonly addresses: readonly PublishedAddress[] }
  /** At `http.addr`, which is an address of the host. */
  | { readonly kind: "host" }
  /** Only from where it runs: by other containers, such as a reverse proxy, or over a Unix socket. */
  | { readonly kind: "private"; readonly why: string; readonly from: Origin };

/** What a description of a container says of its network. */
export interface Networking {
  readonly from: Origin;
  /** Mappings in Docker's short form: `5010:5000`, `127.0.0.1:5010:5000/tcp`, `5000`. */
  readonly ports: readonly Setting[];
  /** Such as `host`, `none`, `service:vpn`; absent for a network of Docker's. */
  readonly network?: Setting | undefined;
  /** Set if all ports of the image are published, at ports that Docker chooses. */
  readonly publishesAll?: Setting | undefined;
}

/** Docker publishes a port at all addresses unless the mapping names one. */
const ANY_HOST = "0.0.0.0";
/** At which the image listens: its config.yml has `http.addr: :5000`. */
export const DEFAULT_ADDRESS = ":5000";

/** A mapping of a port of the container to the host. */
interface Mapping {
  readonly host: string;
  readonly isEveryHost: boolean;
  /** The first and the last port on the host; absent if Docker chooses one. */
  readonly published?: readonly [number, number];
  /** The first and the last port in the container. */
  readonly target: readonly [number, number];
}

/**
 * Finds out from where a registry in a container can be reached.
 *
 * @param settings those of the registry, by their path in config.yml
 * @param reject reports a setting that cannot be understood: guessing might open a port to everyone
 */
export function reachOf(
  { from, ports, network, publishesAll }: Networking,
  settings: ReadonlyMap<string, Setting>,
  reject: (from: Origin, message: string) => void,
): Reach {
  if (network?.value === "host") {
    if (settings.has("http.addr")) return { kind: "host" };
    const address = parseAddress(DEFAULT_ADDRESS, ANY_HOST);
    return { kind: "published", addresses: [{ host: ANY_HOST, ...address, from: network.from }] };
  }
  const net = settings.get("http.net");
  if (net?.value === "unix") {
    return { kind: "private", why: "it listens at a Unix socket", from: net.from };
  }
  const listens = settings.get("http.addr");
  const inside = parseAddress(listens?.value ?? DEFAULT_ADDRESS, ANY_HOST);
  if (!inside) {
    if (listens)
      reject(listens.from, `${quote(listens.value)} is not a valid address: write :5000`);
    return { kind: "private", why: "its address is not known", from };
  }
  if (listens && isLoopbackHost(inside.host)) {
    const why = "it listens at the loopback address of its container";
    return { kind: "private", why, from: listens.from };
  }
  const addresses: PublishedAddress[] = [];
  for (const { value, from: origin } of ports) {
    if (/\/(?:udp|sctp)$/i.test(value)) continue;
    const mapping = parseMapping(value.trim());
    if (!mapping) {
      const problem = value.includes("$")
        ? "takes its value from a variable: write the value out"
        : `${quote(value)} is not a port mapping: write HOST_PORT:CONTAINER_PORT`;
      reject(origin, problem);
      continue;
    }
    const address = addressOf(mapping, inside.port);
    const everywhere = mapping.isEveryHost ? { isEveryHost: true as const } : {};
    if (address) addresses.push({ ...address, ...everywhere, from: origin });
  }
  if (publishesAll && addresses.length === 0)
    addresses.push({ host: ANY_HOST, from: publishesAll.from });
  if (addresses.length > 0) return { kind: "published", addresses };
  const [first] = ports;
  if (first) {
    const why = `no port is mapped to the registry's port, ${inside.port}`;
    return { kind: "private", why, from: first.from };
  }
  if (network && /^(?:service|container|pod|ns):/.test(network.value)) {
    const why = "it shares the network of something else, whose ports are not known here";
    return { kind: "private", why, from: network.from };
  }
  return { kind: "private", why: "no port is published", from };
}

/** Where a mapping publishes a port of the container; undefined if it is about other ports. */
function addressOf(
  { host, published, target: [first, last] }: Mapping,
  port: number,
): Omit<PublishedAddress, "from"> | undefined {
  if (port < first || port > last) return undefined;
  if (!published) return { host };
  const [from, to] = published;
  // Several ports of the host for one of the container: Docker takes the first that is free.
  if (last - first !== to - from) return from === to ? { host, port: from } : { host };
  return { host, port: from + port - first };
}

const MAPPING =
  /^(?:(?:(\[[\da-f:.]+\]|[\w.-]*):)?(\d{0,5}(?:-\d{1,5})?):)?(\d{1,5}(?:-\d{1,5})?)(?:\/tcp)?$/i;

function parseMapping(text: string): Mapping | undefined {
  const [, address = "", onHost = "", inContainer] = MAPPING.exec(text) ?? [];
  const target = inContainer === undefined ? undefined : parseRange(inContainer);
  // Docker chooses a port for 0 as for none.
  const isChosen = onHost === "" || Number(onHost) === 0;
  const published = isChosen ? undefined : parseRange(onHost);
  if (!target || (!isChosen && !published)) return undefined;
  const host = address.replaceAll(/[[\]]/g, "");
  return {
    host: host || ANY_HOST,
    isEveryHost: host === "",
    target,
    ...(published ? { published } : {}),
  };
}

function parseRange(text: string): readonly [number, number] | undefined {
  const [first = 0, last = first] = text.split("-").map(Number);
  return first >= 1 && first <= last && last <= 65_535 ? [first, last] : undefined;
}
