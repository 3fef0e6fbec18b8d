import { rmSync, writeFileSync } from "node:fs";
import { memberAt } from "../../../src/cluster/members/configured-members.ts";
import { rendezvousOrder } from "../../../src/cluster/members/order.ts";
import { parseDigest } from "../../../src/oci/digest.ts";
import { parseUpstreamName } from "../../../src/oci/names.ts";
import type { Content } from "../images/content.ts";
import { type Entrepot, localUpstream, startEntrepot } from "../cache/entrepot.ts";
import { freePort } from "../free-port.ts";
import { until } from "../waiting.ts";
import { tempDir } from "../temp-dir.ts";

const SECRET = "the secret of a cluster in a test";

export interface ReplicasOptions {
  /** Of the upstream `reg.test`. */
  readonly url: string;
  /** Default: 3. */
  readonly count?: number;
  /** What differs in `cluster` of a replica: by its number, and given the addresses of all. */
  readonly cluster?: (number: number, members: readonly string[]) => object;
  /** Whether to wait until each has found all others alive. Default: true. */
  readonly knowEachOther?: boolean;
  /** What differs in the upstream of a replica: by its number. */
  readonly upstream?: (number: number) => object;
  /** What else entrepot.yaml has. */
  readonly config?: object;
}

/** Replicas of one cluster, as processes on this machine. */
export interface Replicas extends AsyncDisposable {
  readonly all: readonly Entrepot[];
  /** Where they listen for each other. */
  readonly members: readonly string[];
  /** The numbers of the replicas, in the order in which they are asked for a blob. */
  order(blob: Pick<Content, "digest">): number[];
  /** Starts a replica again, with its data, after it has been stopped. */
  restart(number: number): Promise<Entrepot>;
  /** As `restart`, with an empty volume. */
  replace(number: number): Promise<Entrepot>;
}

export async function startReplicas({
  url,
  count = 3,
  cluster = () => ({}),
  upstream = () => ({}),
  config = {},
  knowEachOther = true,
}: ReplicasOptions): Promise<Replicas> {
  const closing = new AsyncDisposableStack();
  const dir = closing.use(await tempDir("replicas"));
  const secretFile = dir.file("secret");
  writeFileSync(secretFile, SECRET);
  const ports = Array.from({ length: count }, () => freePort());
  const members = ports.map((port) => `http://127.0.0.1:${port}`);
  const folder = (number: number): string => dir.file(`data-${number}`);
  const start = async (number: number): Promise<Entrepot> => {
    const own = {
      listen: `127.0.0.1:${ports[number]}`,
      advertise: members[number],
      secretFile,
      members,
      ...cluster(number, members),
    };
    const replica = await startEntrepot({
      config: {
        ...config,
        cluster: own,
        upstreams: { "reg.test": { ...localUpstream(url), ...upstream(number) } },
      },
      data: folder(number),
    });
    return closing.use(replica);
  };
  try {
    const all = await Promise.all(members.map((_, number) => start(number)));
    const restart = async (number: number): Promise<Entrepot> => {
      const replica = await start(number);
      all[number] = replica;
      return replica;
    };
    if (knowEachOther) await Promise.all(all.map((replica) => knowsLiving(replica, count)));
    return {
      all,
      members,
      order: ({ digest }) => orderOf(members, digest),
      restart,
      async replace(number) {
        rmSync(folder(number), { recursive: true });
        return restart(number);
      },
      [Symbol.asyncDispose]: () => closing.disposeAsync(),
    };
  } catch (error) {
    await closing.disposeAsync();
    throw error;
  }
}

/** Waits until a replica has found so many alive, itself included. */
export function knowsLiving(replica: Entrepot, count: number): Promise<unknown> {
  const what = `${count} living replicas`;
  return until(async () => (await statusOf(replica)).living === count, { what });
}

/** What a replica tells of its cluster. */
export async function statusOf(
  replica: Entrepot,
): Promise<{ readonly living: number; readonly problems: readonly string[] }> {
  const response = await replica.getAdmin("/api/v1/status");
  // The shape is that of the cache's own status, which the caller compares with what it expects.
  const { cluster } = (await response.json()) as {
    readonly cluster?: {
      readonly members: readonly { readonly state: string }[];
      readonly degraded: readonly { readonly kind: string }[];
    };
  };
  const living = (cluster?.members ?? []).filter(
    ({ state }) => state === "this" || state === "living",
  ).length;
  return { living, problems: (cluster?.degraded ?? []).map(({ kind }) => kind) };
}

/** The numbers of the replicas at these addresses, in the order in which they are asked for a blob. */
export function orderOf(urls: readonly string[], text: string): number[] {
  const [digest, upstream] = [parseDigest(text), parseUpstreamName("reg.test")];
  if (!digest || !upstream) throw new Error(`${text} is no digest`);
  const members = urls.map((url) => memberAt(new URL(url)));
  return rendezvousOrder(members, upstream, digest).map((member) => members.indexOf(member));
}

/** What a client of a replica gets of a blob: its digest, or why it got none. */
export async function digestFrom(
  replica: Entrepot,
  repository: string,
  { digest }: Pick<Content, "digest">,
): Promise<string> {
  try {
    const response = await replica.get(`/v2/${repository}/blobs/${digest}?ns=reg.test`);
    if (response.status !== 200) return `${response.status} ${await response.text()}`;
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of response.body ?? []) hasher.update(chunk);
    return `sha256:${hasher.digest("hex")}`;
  } catch (error) {
    return String(error);
  }
}
