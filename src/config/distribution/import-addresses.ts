import {
  type ImportedConfig,
  type Origin,
  originOnCommandLine,
} from "../foreign/imported-config.ts";
import { type Address, formatAddress, parseAddress } from "../parsing/address.ts";
import {
  isLoopbackHost,
  isSameHost,
  isWildcardHost,
  UsedAddresses,
} from "../parsing/host-overlap.ts";
import { quote } from "../parsing/problems.ts";
import { DOCKER_HUB } from "../settings.ts";
import { DEFAULT_ADDRESS, type PublishedAddress } from "./reach.ts";
import type { RegistrySettings } from "./registry-settings.ts";

const ANY_HOST = "0.0.0.0";
const LOOPBACK = "127.0.0.1";
const ADMIN_PORT = 5001;
/** The ports that such registries have by convention. */
const USUAL_PORTS: ReadonlyMap<string, number> = new Map([
  [DOCKER_HUB, 5000],
  ["ghcr.io", 5010],
  ["quay.io", 5020],
  ["registry.k8s.io", 5030],
  ["reg.kyverno.io", 5040],
]);
/** Other registries go on from here, in steps of ten. */
const FIRST_OTHER_PORT = 5050;
const PORT_STEP = 10;

const FIRST_UNPRIVILEGED_PORT = 1024;

/** A registry, and the upstream that it becomes. */
export interface ImportedRegistry {
  readonly upstream: string;
  readonly registry: RegistrySettings;
}

/** An address that the operator gave an upstream; without a host, it is that of the registry. */
export interface GivenAddress {
  readonly host?: string;
  readonly port: number;
}

/** Where an upstream is to be served. */
interface Wanted {
  readonly upstream: string;
  readonly host: string;
  /** Absent if one has to be chosen. */
  readonly port?: number;
  readonly from: Origin;
  /** What the operator has to know of it, if the address is not simply that of the registry. */
  readonly doubt?: string;
  /** Whether the port may be one inside a container, and not that of nodes. */
  readonly isInner?: true;
}

/** Where an upstream is served, once all ports are known. */
interface Placed extends Wanted {
  readonly port: number;
}

/**
 * Serves each upstream where its registry was reachable, and nowhere else: an address that nobody
 * could reach is not opened, nor is a registry served at the address of another one that more
 * machines can reach.
 *
 * @param given addresses by upstream, which win
 * @returns the addresses by upstream
 */
export function importAddresses(
  registries: readonly ImportedRegistry[],
  imported: ImportedConfig,
  given: ReadonlyMap<string, GivenAddress>,
): ReadonlyMap<string, Address> {
  for (const upstream of given.keys()) {
    if (registries.some((one) => one.upstream === upstream)) continue;
    imported.reject(
      originOnCommandLine("--port"),
      `${upstream} is none of the imported registries: ${registries.map((one) => one.upstream).join(", ")}`,
    );
  }
  const wanted = registries.flatMap((one) => wantedBy(one, given.get(one.upstream), imported));
  const placed = place(withoutInnerPorts(wanted), imported);
  writeAddresses(placed, imported);
  return new Map(placed.map(({ upstream, host, port }) => [upstream, { host, port }]));
}

function wantedBy(
  { upstream, registry }: ImportedRegistry,
  given: GivenAddress | undefined,
  imported: ImportedConfig,
): Wanted[] {
  const wanted = reachable(upstream, registry, imported);
  if (!wanted || !given) return wanted ? [wanted] : [];
  const host = given.host ?? wanted.host;
  const written = given.host === undefined ? String(given.port) : formatAddress({ ...given, host });
  const from = originOnCommandLine(`--port ${upstream}=${written}`);
  return [{ upstream, host, port: given.port, from }];
}

/** Where a registry can be reached; undefined if a problem was reported. */
function reachable(
  upstream: string,
  { reach, settings, from }: RegistrySettings,
  imported: ImportedConfig,
): Wanted | undefined {
  const hidden = (why: string, origin: Origin): Wanted => {
    const doubt = `${why}: it is served at ADDRESS, which only this machine reaches. If a reverse proxy elsewhere has to reach it, give its address: --port ${upstream}=HOST:PORT`;
    return { upstream, host: LOOPBACK, from: origin, doubt };
  };
  if (reach?.kind === "private") return hidden(reach.why, reach.from);
  if (reach?.kind === "published") return published(upstream, reach.addresses, imported);
  const net = settings.get("http.net");
  if (net?.value === "unix") return hidden("it listens at a Unix socket", net.from);
  const isAlone = reach === undefined;
  const written = settings.get("http.addr");
  if (!written && isAlone) return hidden("http.addr is missing", from);
  const setting = written ?? { value: DEFAULT_ADDRESS, from };
  const address = parseAddress(setting.value, ANY_HOST);
  if (address && address.port > 0) {
    // Of the addresses of the name, Go listens at this one.
    const host = address.host === "localhost" ? LOOPBACK : address.host;
    const { port } = address;
    return { upstream, host, port, from: setting.from, ...(isAlone ? { isInner: true } : {}) };
  }
  imported.reject(setting.from, `${quote(setting.value)} is not a valid address: write host:port`);
  return undefined;
}

/** Of several addresses, the one that most machines can reach. */
function published(
  upstream: string,
  addresses: readonly PublishedAddress[],
  imported: ImportedConfig,
): Wanted | undefined {
  const known = addresses.filter(({ port }) => port !== undefined);
  const candidates = known.length > 0 ? known : addresses;
  const chosen =
    candidates.find(({ host }) => isWildcardHost(host)) ??
    candidates.find(({ host }) => !isLoopbackHost(host)) ??
    candidates[0];
  if (!chosen) return undefined;
  for (const { host, port, from } of addresses) {
    if (from === chosen.from) continue;
    const lost = port === undefined ? `a port of ${host}` : formatAddress({ host, port });
    imported.warn(
      from,
      `${upstream} is not served at ${lost} any more, since an upstream has one address, here that of ${chosen.from.what}`,
      "clients",
    );
  }
  if (chosen.port !== undefined) return { upstream, ...chosen, port: chosen.port };
  const doubt = `its port on the host changes with each start: ADDRESS was chosen. For another one: --port ${upstream}=PORT`;
  return { upstream, ...chosen, doubt };
}

/** Takes ports away that several files have at the same address: they are those inside containers. */
function withoutInnerPorts(wanted: readonly Wanted[]): Wanted[] {
  const used = new UsedAddresses<Wanted>();
  const doubtful = new Set<Wanted>();
  for (const one of wanted) {
    if (one.port === undefined) continue;
    const other = used.add({ address: { ...one, port: one.port }, user: one });
    for (const each of other ? [one, other.user] : []) if (each.isInner) doubtful.add(each);
  }
  return wanted.map((one) => {
    if (!doubtful.has(one)) return one;
    const { upstream, host, port, from } = one;
    const doubt = `other registries have port ${port} too, as in containers, so it is not that of the nodes: ADDRESS was chosen. If nodes use another one: --port ${upstream}=PORT, or --port ${upstream}=HOST:PORT`;
    return { upstream, host, from, doubt };
  });
}

/** Chooses the ports that are not known. */
function place(wanted: readonly Wanted[], imported: ImportedConfig): Placed[] {
  const used = new UsedAddresses<Wanted>();
  const placed: Placed[] = [];
  for (const one of wanted) {
    if (one.port === undefined) continue;
    const address = { host: one.host, port: one.port };
    const other = used.add({ address, user: one });
    if (other)
      imported.reject(one.from, `port ${one.port} is already used by ${other.user.upstream}`);
    else placed.push({ ...one, port: one.port });
  }
  const taken = new Set([ADMIN_PORT, ...placed.map(({ port }) => port)]);
  let next = FIRST_OTHER_PORT;
  const nextPort = (): number => {
    while (taken.has(next)) next += PORT_STEP;
    return next;
  };
  for (const one of wanted) {
    if (one.port !== undefined) continue;
    const usual = USUAL_PORTS.get(one.upstream);
    const port = usual === undefined || taken.has(usual) ? nextPort() : usual;
    if (port > 65_535) {
      imported.reject(one.from, `no port is left for it: choose one, --port ${one.upstream}=PORT`);
      continue;
    }
    taken.add(port);
    placed.push({ ...one, port });
  }
  return placed;
}

/**
 * The address of Docker Hub becomes `listen`, where requests without a namespace mean Docker Hub. A
 * registry at the same host gets a port, and any other one an address of its own. So does one at
 * loopback: a reverse proxy decides who reaches which of them.
 */
function writeAddresses(placed: readonly Placed[], imported: ImportedConfig): void {
  const [first] = placed;
  if (!first) return;
  const ports = new Set(placed.map(({ port }) => port));
  const free = (port: number): number => (ports.has(port) ? free(port + 1) : port);
  const hub = placed.find(({ upstream }) => upstream === DOCKER_HUB);
  const main = hub ?? { host: LOOPBACK, port: free(USUAL_PORTS.get(DOCKER_HUB) ?? 0) };
  ports.add(main.port);
  const note = hub
    ? "requests without a namespace mean Docker Hub"
    : "no registry is Docker Hub's, so this address is for this machine alone";
  const notes = [note, privilegeFor(main.port)].filter((text) => text !== undefined);
  imported.set(["listen"], [formatAddress(main)], (hub ?? first).from, notes.join("; "));
  const atAdmin = placed.find(({ port }) => port === ADMIN_PORT);
  if (ports.has(ADMIN_PORT)) {
    const admin = `${LOOPBACK}:${free(ADMIN_PORT)}`;
    imported.set(["admin"], [admin], (atAdmin ?? first).from, `port ${ADMIN_PORT} is in use`);
  }
  for (const { upstream, host, port, from, doubt } of placed) {
    const text = doubt?.replace("ADDRESS", formatAddress({ host, port }));
    if (text !== undefined) imported.warn(from, `${upstream}: ${text}`, "clients");
    if (upstream === DOCKER_HUB) continue;
    const sharesHost = hub && isSameHost(host, hub.host) && !isLoopbackHost(host);
    const key = sharesHost ? "port" : "listen";
    const value = sharesHost ? port : formatAddress({ host, port });
    imported.set(["upstreams", upstream, key], [value], from, privilegeFor(port));
  }
}

/** What a service needs for a port that Docker, as root, opened for the registry. */
function privilegeFor(port: number): string | undefined {
  return port < FIRST_UNPRIVILEGED_PORT
    ? "a service without privileges needs `entrepot render systemd-socket` for it"
    : undefined;
}
