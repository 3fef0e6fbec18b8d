import path from "node:path";
import type { Address } from "../../config/parsing/address.ts";
import type { Settings } from "../../config/settings.ts";

/** One of the replicas that `serve --local-cluster` starts. */
export interface LocalReplica {
  /** From 1. */
  readonly number: number;
  readonly listen: Address;
  readonly admin: Address;
  /** For the other replicas: on this machine only. */
  readonly cluster: Address;
  readonly data: string;
}

/** From one replica's ports to the next one's, if that fits. */
const STEP = 10;
/** From the port for nodes to the one for replicas, as 5002 is from 5000: two clusters on a machine share none. */
const TO_CLUSTER_PORT = 2;
const MAX_PORT = 65_535;

/**
 * Addresses and folders of replicas on one machine: the first has the addresses of a single cache, and
 * those of the next are some ports further.
 *
 * @param freePort finds a port where 0 is configured: replicas have to know each other's before they start
 * @returns undefined if there are not enough ports above these
 */
export function planReplicas(
  {
    listen,
    admin,
    cluster,
    dataDirectory,
  }: Pick<Settings, "listen" | "admin" | "dataDirectory"> & {
    readonly cluster?: { readonly listen: Address };
  },
  count: number,
  freePort: () => number,
): readonly LocalReplica[] | undefined {
  const besides = portBesides(listen, admin);
  const between = { host: "127.0.0.1", port: cluster?.listen.port ?? besides };
  const numbers = Array.from({ length: count }, (_, at) => at);
  for (let step = STEP; step < 10 * STEP; step += 1) {
    const at = ({ host, port }: Address, number: number): Address => ({
      host,
      port: port === 0 ? freePort() : port + step * number,
    });
    const replicas = numbers.map((number) => ({
      number: number + 1,
      listen: at(listen, number),
      admin: at(admin, number),
      cluster: at(between, number),
      data: path.join(dataDirectory, `replica-${number + 1}`),
    }));
    const ports = replicas.flatMap((one) => [one.listen.port, one.admin.port, one.cluster.port]);
    if (ports.some((port) => port > MAX_PORT)) return undefined;
    if (new Set(ports).size === ports.length) return replicas;
  }
  return undefined;
}

/** The port for other replicas, where none is configured. */
function portBesides(listen: Address, admin: Address): number {
  if (listen.port === 0) return 0;
  const port = listen.port + TO_CLUSTER_PORT;
  return port === admin.port ? port + 1 : port;
}
