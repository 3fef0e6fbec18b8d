import { z } from "zod";
import type { LoadedSettings } from "../../config/load.ts";
import { parseAddress } from "../../config/parsing/address.ts";

/** By which `serve --local-cluster` tells each of its replicas that it is one. A secret is in no flag: `ps` shows those. */
export const REPLICA_VARIABLE = "ENTREPOT_LOCAL_REPLICA";

const schema = z.object({
  listen: z.string(),
  members: z.array(z.url()),
  secret: z.string(),
});

export type ReplicaOf = z.infer<typeof schema>;

/** What the variable says; undefined where this process is no such replica. */
export function localReplica(
  env: Readonly<Record<string, string | undefined>>,
): ReplicaOf | undefined {
  const json = env[REPLICA_VARIABLE];
  return json === undefined ? undefined : schema.parse(JSON.parse(json));
}

/**
 * The settings of a replica beside others on one machine: it is one of the cluster, and no upstream has an
 * address of its own, since they would all have the same.
 */
export function asReplica(settings: LoadedSettings, replica: ReplicaOf): LoadedSettings {
  const listen = parseAddress(replica.listen, "127.0.0.1");
  if (!listen) throw new Error(`${replica.listen} is no address`);
  // They speak HTTP among each other, on this machine.
  const { tls: _, ...configured } = settings.cluster ?? {};
  return {
    ...settings,
    cluster: {
      ...configured,
      listen,
      advertise: new URL(`http://${replica.listen}`),
      secret: replica.secret,
      members: replica.members.map((url) => new URL(url)),
    },
    upstreams: new Map(
      [...settings.upstreams].map(([name, { port: _port, listen: _listen, ...upstream }]) => [
        name,
        upstream,
      ]),
    ),
  };
}

/** Ends this process when the one that started it has ended, however that was. */
export function endWithParent(): void {
  process.stdin.once("end", () => process.kill(process.pid, "SIGTERM"));
  process.stdin.resume();
}
