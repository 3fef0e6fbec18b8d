import { formatAddress } from "../../config/parsing/address.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import type { Settings } from "../../config/settings.ts";
import { table } from "../table.ts";
import { clusterSecret } from "./cluster-secret.ts";
import { REPLICA_VARIABLE, type ReplicaOf } from "./local-replica.ts";
import { type LocalReplica, planReplicas } from "./plan.ts";
import { ReplicaProcesses } from "./replica-processes.ts";

/** Fewer are no cluster, and more are no trial. */
const [FEWEST, MOST] = [2, 16];

export interface LocalClusterOptions {
  readonly count: number;
  readonly settings: Settings;
  /** Flags of `serve` that each replica gets as they are. */
  readonly flags: readonly string[];
  /** Whether lines of the replicas are marked with their numbers: JSON stays as it is. */
  readonly areMarked: boolean;
  readonly stopSignal: Promise<NodeJS.Signals>;
}

/**
 * Runs replicas on this machine until a signal comes.
 *
 * @throws ConfigError
 */
export async function serveLocalCluster(options: LocalClusterOptions): Promise<number> {
  const { count, settings, stopSignal } = options;
  if (count < FEWEST || count > MOST) {
    throw new ConfigError([
      { message: `--local-cluster: give a number from ${FEWEST} to ${MOST}` },
    ]);
  }
  const replicas = planReplicas(settings, count, freePort);
  if (!replicas) {
    throw new ConfigError([
      {
        message: `--local-cluster: there are not enough ports above ${formatAddress(settings.listen)}`,
      },
    ]);
  }
  const secret = clusterSecret(settings.dataDirectory);
  const members = replicas.map(({ cluster }) => `http://${formatAddress(cluster)}`);
  const processes = new ReplicaProcesses({
    commandOf: (replica) => ({
      command: [...ownProgram(), ...argumentsOf(replica, options)],
      env: {
        [REPLICA_VARIABLE]: JSON.stringify({
          listen: formatAddress(replica.cluster),
          members,
          secret,
        } satisfies ReplicaOf),
      },
    }),
    printed: (replica, line) =>
      console.log(options.areMarked ? `${replica.number} | ${line}` : line),
    tell: (text) => process.stderr.write(`entrepot: ${text}\n`),
  });
  process.stderr.write(`${overview(replicas)}\n\n`);
  for (const replica of replicas) processes.start(replica);
  const ended = await Promise.race([stopSignal, processes.failed]);
  await processes.stop(typeof ended === "number" ? "SIGTERM" : ended);
  return typeof ended === "number" ? ended : 0;
}

function overview(replicas: readonly LocalReplica[]): string {
  const columns = ["REPLICA", "LISTENS AT", "ADMIN", "DATA"].map((title) => ({ title }));
  const rows = replicas.map(({ number, listen, admin, data }) => [
    String(number),
    formatAddress(listen),
    formatAddress(admin),
    data,
  ]);
  return table(columns, rows);
}

function argumentsOf(
  { listen, admin, data }: LocalReplica,
  { flags }: LocalClusterOptions,
): string[] {
  const addresses = ["--listen", formatAddress(listen), "--admin", formatAddress(admin)];
  return ["serve", ...addresses, "--data", data, ...flags];
}

/** This program, as it was started: from a checkout, or as an executable with its script built in. */
function ownProgram(): string[] {
  const [, script = ""] = process.argv;
  return script.startsWith("/$bunfs/")
    ? [process.execPath]
    : [process.execPath, ...process.execArgv, script];
}

function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
