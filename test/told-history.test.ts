import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { startPostgres } from "./harness/replicas/postgres.ts";
import { textImage } from "./harness/images/images.ts";
import { longRealTest } from "./harness/real-components.ts";
import { startReplicas } from "./harness/replicas/replicas.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { type Served, violations } from "./harness/replicas/tag-history.ts";
import { tempDir } from "./harness/temp-dir.ts";

const TAG_TTL = 2000;
const CLIENTS_PER_REPLICA = 4;
/** How long the tag goes on to move, and how often, in milliseconds. */
const DURATION = 60_000;
const PUSHES_EACH = 700;

longRealTest(
  "while a tag moves, no replica goes back to an older one, whatever becomes of the ledger and of a replica",
  async () => {
    await using dir = await tempDir("told-history");
    await using postgres = await startPostgres();
    await using upstream = await startScriptedUpstream();
    const urlFile = dir.file("database");
    await writeFile(urlFile, await postgres.database());
    const versions: string[] = [];
    const pushed: number[] = [];
    const push = (): void => {
      const image = textImage({ text: `version ${versions.length}` });
      versions.push(image.manifest.digest);
      upstream.add("app", image, "1");
      pushed.push(performance.now());
    };
    push();
    await using replicas = await startReplicas({
      url: upstream.url,
      cluster: () => ({ database: { urlFile } }),
      upstream: () => ({ tagTtl: `${TAG_TTL}ms` }),
    });
    const served: Served[] = [];
    const failed: string[] = [];
    const end = performance.now() + DURATION;
    /** Replicas that are being killed: their clients go elsewhere, as a balancer has them do. */
    const down = new Set<number>();
    const client = async (number: number): Promise<void> => {
      while (performance.now() < end) {
        const replica = replicas.all[number];
        if (!replica || down.has(number)) {
          await Bun.sleep(20);
          continue;
        }
        const from = performance.now();
        try {
          const response = await replica.get("/v2/app/manifests/1?ns=reg.test");
          await response.bytes();
          const digest = response.headers.get("docker-content-digest") ?? "";
          const version = versions.indexOf(digest);
          if (version < 0) failed.push(`${response.status} ${digest}`);
          else served.push({ replica: String(number), version, from, until: performance.now() });
        } catch (error) {
          if (!down.has(number) && replica === replicas.all[number]) failed.push(String(error));
        }
        await Bun.sleep(Math.random() * 40);
      }
    };
    const pushes = async (): Promise<void> => {
      while (performance.now() < end) {
        await Bun.sleep(Math.random() * 2 * PUSHES_EACH);
        push();
      }
    };
    const disturbances: readonly (() => Promise<void>)[] = [
      async () => {
        await postgres.freeze();
        await Bun.sleep(4000);
        await postgres.thaw();
      },
      async () => {
        await postgres.stop();
        await Bun.sleep(3000);
        await postgres.start();
      },
      async () => {
        down.add(1);
        await replicas.all[1]?.stop("SIGKILL");
        await replicas.restart(1);
        down.delete(1);
      },
    ];
    const disturb = async (): Promise<void> => {
      for (let turn = 0; performance.now() < end - 12_000; turn += 1) {
        await Bun.sleep(3000);
        await disturbances[turn % disturbances.length]?.();
      }
    };
    const clients = replicas.all.flatMap((_, number) =>
      Array.from({ length: CLIENTS_PER_REPLICA }, () => client(number)),
    );
    await Promise.all([...clients, pushes(), disturb()]);
    expect(failed).toEqual([]);
    expect(served.length).toBeGreaterThan(1000);
    // A record is fresh from the end of its check, which the busy machine may make long.
    expect(violations({ served, pushed }, 2 * TAG_TTL)).toEqual([]);
  },
);
