// Tests whether memory grows with traffic: sends requests of every kind to a real cache that
// evicts, and prints its resident memory. `npm run soak -- --minutes 10 --requests 300000`
import { parseArgs } from "node:util";
import { localUpstream, startEntrepot } from "../test/harness/cache/entrepot.ts";
import { randomImages, randomNumbers, zipf } from "../test/harness/images/random-images.ts";
import { startScriptedUpstream } from "../test/harness/registries/scripted-upstream.ts";

/** Memory is read every so many requests; the first reading is compared with the last. */
const INTERVAL = 20_000;
const MIN_REQUESTS = 100_000;
const WORKERS = 8;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "0" },
    requests: { type: "string", default: String(MIN_REQUESTS) },
    help: { type: "boolean" },
  },
});

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Returns whether memory grew by less than 10 %. */
async function soak(minutes: number, minRequests: number): Promise<boolean> {
  await using upstream = await startScriptedUpstream();
  const images = randomImages({ count: 300, smallest: 2000, largest: 400_000, seed: 3 });
  images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
  await using cache = await startEntrepot({
    config: {
      storage: { maxSize: "8MiB", minFree: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "1s" } },
    },
  });
  const random = randomNumbers(9);
  const next = zipf(images.length, 0.9, random);
  const end = performance.now() + minutes * 60_000;
  const memory = new Map<number, number>();
  let requests = 0;
  const isDone = (): boolean => requests >= minRequests && performance.now() >= end;

  const get = async (path: string): Promise<void> => {
    const response = await cache.get(`/v2/${path}?ns=reg.test`);
    await response.arrayBuffer();
    requests += 1;
    if (requests % INTERVAL === 0) {
      memory.set(requests, cache.residentMemory());
      console.log(`${requests} requests: ${mebibytes(cache.residentMemory())}`);
      upstream.forget();
    }
  };
  const work = async (): Promise<void> => {
    while (!isDone()) {
      const number = next();
      await get(`app${number}/manifests/1`);
      for (const blob of images[number]?.blobs ?? [])
        await get(`app${number}/blobs/${blob.digest}`);
      // Failed requests use memory too: for unknown repositories.
      if (random() < 0.05) await get(`none${Math.floor(random() * 1e9)}/manifests/1`);
      if (requests % 5000 < 4) upstream.forget();
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  const [first = 0, last = 0] = [memory.get(INTERVAL), [...memory.values()].at(-1)];
  const growth = last / first - 1;
  console.log(
    `memory growth from ${INTERVAL} to ${requests} requests: ${(growth * 100).toFixed(1)} %`,
  );
  return growth < 0.1;
}

if (values.help) {
  console.log(
    "npm run soak -- [--minutes N] [--requests N]   run for N minutes and N requests at least (0 and 100,000)",
  );
} else {
  const [minutes, requests] = [Number(values.minutes), Number(values.requests)];
  if (!Number.isFinite(minutes) || minutes < 0) {
    console.error(`--minutes ${values.minutes} is not valid: pass a number of minutes, 0 or more`);
    process.exit(2);
  }
  if (!Number.isInteger(requests) || requests < MIN_REQUESTS) {
    console.error(
      `--requests ${values.requests} is not valid: pass an integer of ${MIN_REQUESTS} or more`,
    );
    process.exit(2);
  }
  process.exitCode = (await soak(minutes, requests)) ? 0 : 1;
}
