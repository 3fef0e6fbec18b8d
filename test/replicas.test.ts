import { describe, expect, test } from "bun:test";
import { type Content, randomContent } from "./harness/images/content.ts";
import type { Entrepot } from "./harness/cache/entrepot.ts";
import * as faults from "./harness/faults/faults.ts";
import { isLong } from "./harness/real-components.ts";
import {
  digestFrom,
  orderOf,
  type Replicas,
  startReplicas,
  statusOf,
} from "./harness/replicas/replicas.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const MIB = 1024 * 1024;
/** Bytes per second, of each connection. */
const RATE = 30 * MIB;

/** Bytes of blobs that the upstream has sent: a large blob is requested in parts. */
function sent(upstream: ScriptedUpstream): number {
  return upstream.requests({ kind: "blob" }).reduce((sum, request) => sum + request.sent, 0);
}

/** Begins to download a blob at two clients of each replica, except for one. Returns what they get. */
function clients(replicas: Replicas, blob: Content, except?: number): Promise<Set<string>> {
  const asked = replicas.all.filter((_, number) => number !== except);
  const downloads = asked.flatMap((one) => [one, one]);
  return Promise.all(downloads.map((one) => digestFrom(one, "app", blob))).then(
    (digests) => new Set(digests),
  );
}

function replica(replicas: Replicas, number: number | undefined): Entrepot {
  const found = replicas.all[number ?? -1];
  if (!found) throw new Error(`there is no replica ${number}`);
  return found;
}

/** The part of a blob that is sent to a process which is stopped: its socket takes some MiB. */
const UNREAD = 8 * MIB;

describe("three replicas", () => {
  let seed = 100;

  async function world(): Promise<{
    readonly upstream: ScriptedUpstream;
    readonly replicas: Replicas;
    readonly blob: (size?: number) => Content;
    readonly close: () => Promise<void>;
  }> {
    const closing = new AsyncDisposableStack();
    const upstream = closing.use(await startScriptedUpstream());
    upstream.respond(() => faults.slow(RATE));
    const replicas = closing.use(await startReplicas({ url: upstream.url }));
    return {
      upstream,
      replicas,
      blob(size = 20 * MIB) {
        const blob = randomContent(size, (seed += 1));
        upstream.addBlob("app", blob);
        upstream.forget();
        return blob;
      },
      close: () => closing.disposeAsync(),
    };
  }

  test("download a blob once, and go on at its offset where the one that downloads is killed, and comes back", async () => {
    const { upstream, replicas, blob, close } = await world();
    const one = blob();
    expect(await clients(replicas, one)).toEqual(new Set([one.digest]));
    expect(sent(upstream)).toBe(one.size);

    const two = blob();
    const [first = 0] = replicas.order(two);
    const received = clients(replicas, two, first);
    await until(() => sent(upstream) > two.size / 3, { what: "a third of the blob" });
    await replica(replicas, first).stop("SIGKILL");
    expect(await received).toEqual(new Set([two.digest]));
    // Some had been sent, and not passed on.
    expect(sent(upstream)).toBeLessThan(two.size + UNREAD);

    const before = sent(upstream);
    const again = await replicas.restart(first);
    expect(await digestFrom(again, "app", two)).toBe(two.digest);
    expect(sent(upstream)).toBe(before);
    await close();
  });

  test.skipIf(!isLong)(
    "go on where the one that downloads is stopped, which takes the rest from them when it goes on",
    async () => {
      const { upstream, replicas, blob, close } = await world();
      for (let round = 0; round < 3; round += 1) {
        const stopped = blob(30 * MIB);
        const [first = 0, second] = replicas.order(stopped);
        const received = clients(replicas, stopped, first);
        await until(() => sent(upstream) > stopped.size / 4, { what: "a quarter of the blob" });
        replica(replicas, first).signal("SIGSTOP");
        expect(await received).toEqual(new Set([stopped.digest]));
        expect(sent(upstream)).toBeLessThan(stopped.size + UNREAD);
        const { problems } = await statusOf(replica(replicas, second));
        expect(problems).toContain("silent-member");
        replica(replicas, first).signal("SIGCONT");
        expect(await digestFrom(replica(replicas, first), "app", stopped)).toBe(stopped.digest);
        expect(sent(upstream)).toBeLessThan(stopped.size + UNREAD);
      }
      await close();
    },
    60_000,
  );

  test.skipIf(!isLong)(
    "wait once for one that the network has parted from them, and ask it no more until it answers",
    async () => {
      await using upstream = await startScriptedUpstream();
      const asked: string[] = [];
      // It takes connections and requests, and never answers.
      using silent = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: { data: (_, bytes) => void asked.push(bytes.toString()) },
      });
      const lost = `http://127.0.0.1:${silent.port}`;
      await using replicas = await startReplicas({
        url: upstream.url,
        count: 2,
        knowEachOther: false,
        cluster: (_, members) => ({ members: [...members, lost] }),
      });
      const members = [...replicas.members, lost];
      const blobs: Content[] = [];
      while (blobs.length < 6) {
        const blob = randomContent(MIB, (seed += 1));
        if (orderOf(members, blob.digest)[0] !== 2) continue;
        blobs.push(blob);
        upstream.addBlob("app", blob);
      }
      const isOver = async (one: Entrepot): Promise<boolean> =>
        (await statusOf(one)).problems.includes("silent-member");
      for (const one of replicas.all) {
        await until(() => isOver(one), { what: "the lost member to be missed" });
      }
      for (const blob of blobs) {
        expect(await clients(replicas, blob)).toEqual(new Set([blob.digest]));
      }
      expect(sent(upstream)).toBe(blobs.length * MIB);
      expect(asked.filter((request) => !request.includes("/replica/ping"))).toEqual([]);
    },
    60_000,
  );
});
