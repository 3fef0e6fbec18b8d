import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { type Entrepot, localUpstream, startEntrepot } from "../test/harness/cache/entrepot.ts";
import { contentOf } from "../test/harness/images/content.ts";
import { artifact, type Image, textImage } from "../test/harness/images/images.ts";
import { startScriptedUpstream } from "../test/harness/registries/scripted-upstream.ts";
import { type KeyPair, newKeys } from "../test/harness/signatures/certificate-maker.ts";
import {
  BUNDLE_TYPE,
  craftBundle,
  statementOf,
} from "../test/harness/signatures/crafted-bundle.ts";
import { publicPem } from "../test/harness/signatures/rules.ts";
import { SigstoreServices } from "../test/harness/signatures/sigstore-services.ts";
import { until } from "../test/harness/waiting.ts";
import { type SmallLoad, smallLoad } from "./load.ts";
import type { LinkShape } from "./link.ts";
import { FAR, type Run } from "./run.ts";
import { startShaper } from "./shaped-link.ts";

/** Each is short, and they alternate: what the machine does besides is then the same for both. */
const SLICES = 6;
const FIRST_PULLS = 40;
/** To a distant registry. */
const ROUND_TRIP_MS = 40;
const NAMES = ["open.test", "governed.test"] as const;

/** What rules about digests and signatures cost: hits of what they govern, and the first pull of what has to be signed. */
export async function measurePolicies(run: Run): Promise<void> {
  await measureHits(run);
  await measureFirstPulls(run);
  await measureFarPulls(run);
}

async function measureHits(run: Run): Promise<void> {
  await using upstream = await startScriptedUpstream();
  const [before, now] = [textImage({ text: "before" }), textImage({ text: "now" })];
  const small = contentOf(randomBytes(10 * 1024), "application/octet-stream");
  upstream.add("app", withBlob(before, small), "1");
  const policies = [{ match: "governed.test/**", minAge: "3d" }];
  const configOf = (tagTtl: string): object => {
    const settings = { ...localUpstream(upstream.url), tagTtl };
    return { policies, upstreams: Object.fromEntries(NAMES.map((name) => [name, settings])) };
  };
  await using cache = await startEntrepot({ config: configOf("0s") });
  const paths = {
    "held tag": "manifests/1",
    manifest: `manifests/${before.manifest.digest}`,
    "10 KiB blob": `blobs/${small.digest}`,
  };
  for (const name of NAMES) {
    for (const path of Object.values(paths)) await ask(cache, name, path);
  }
  upstream.add("app", now, "1");
  for (const [name, { manifest }] of [
    ["open.test", now],
    ["governed.test", before],
  ] as const) {
    const isSeen = async (): Promise<boolean> => {
      const { headers } = await ask(cache, name, "manifests/1");
      return headers.get("docker-content-digest") === manifest.digest;
    };
    await until(isSeen, { what: `what ${name} is to serve` });
  }
  // From here on, nobody asks the registry.
  await cache.reconfigure(configOf("1h"));
  await until(async () => (await hitsOf(cache, "manifests/1")) === NAMES.length, {
    what: "both tags to stay fresh",
  });
  const seconds = run.quick ? 1 : 3;
  for (const [what, path] of Object.entries(paths)) {
    const loads: Record<(typeof NAMES)[number], SmallLoad[]> = {
      "open.test": [],
      "governed.test": [],
    };
    for (let slice = 0; slice < SLICES * run.rounds; slice += 1) {
      for (const name of slice % 2 === 0 ? NAMES : NAMES.toReversed()) {
        run.step(`hits by rules, ${what}, ${slice + 1} of ${SLICES * run.rounds}: ${name}`);
        const url = `${cache.url}/v2/app/${path}?ns=${name}`;
        loads[name].push(await smallLoad(url, cache.pid, seconds));
      }
    }
    const of = (name: (typeof NAMES)[number], figure: keyof SmallLoad): number =>
      median(loads[name].map((load) => load[figure]));
    run.add(`hits by rules: ${what}`, "entrepot", {
      "requests/s": of("governed.test", "requestsPerSecond"),
      "requests/s over open":
        of("governed.test", "requestsPerSecond") / of("open.test", "requestsPerSecond"),
      "CPU over open": of("governed.test", "cpuMicroseconds") / of("open.test", "cpuMicroseconds"),
    });
  }
}

async function measureFirstPulls(run: Run): Promise<void> {
  const { governed, more } = await firstPulls(run, undefined);
  const figures = { ms: governed, "ms more than open": more };
  run.add("first pull of a signed image", "entrepot", figures);
}

async function measureFarPulls(run: Run): Promise<void> {
  const { more } = await firstPulls(run, {
    roundTripMs: ROUND_TRIP_MS,
    megabytesPerSecond: FAR.megabytesPerSecond,
  });
  run.add(`first pull of a signed image, ${ROUND_TRIP_MS} ms away`, "entrepot", {
    "round trips over open": more / ROUND_TRIP_MS,
  });
}

/** How long they take, in milliseconds, and how much longer than those of what no rule is about. */
async function firstPulls(
  run: Run,
  line: LinkShape | undefined,
): Promise<{ readonly governed: number; readonly more: number }> {
  await using services = new SigstoreServices();
  await using upstream = await startScriptedUpstream();
  const keys = newKeys();
  const images = Array.from({ length: FIRST_PULLS * run.rounds }, (_, at) =>
    textImage({ text: `signed ${at}` }),
  );
  for (const [at, image] of images.entries()) {
    upstream.add("app", image, `v${at}`);
    upstream.add("app", signatureOf(image, services, keys));
  }
  const trustRoot = run.dir.file("trusted_root.json");
  await writeFile(trustRoot, JSON.stringify(services.trustRoot()));
  const verify = { mode: "enforce", keys: [publicPem(keys.publicKey)], trustRoot };
  await using shaper = line && (await startShaper(Number(new URL(upstream.url).port), line));
  const settings = localUpstream(shaper?.url ?? upstream.url);
  await using cache = await startEntrepot({
    config: {
      policies: [{ match: "governed.test/**", verify }],
      upstreams: Object.fromEntries(NAMES.map((name) => [name, settings])),
    },
  });
  const times: Record<(typeof NAMES)[number], number[]> = { "open.test": [], "governed.test": [] };
  run.step(`first pulls of signed images${line ? `, ${line.roundTripMs} ms away` : ""}`);
  for (const at of images.keys()) {
    for (const name of at % 2 === 0 ? NAMES : NAMES.toReversed()) {
      const startedAt = performance.now();
      const { status } = await ask(cache, name, `manifests/v${at}`);
      times[name].push(performance.now() - startedAt);
      if (status !== 200) throw new Error(`${name}: v${at} has status ${status}`);
    }
  }
  const governed = median(times["governed.test"]);
  return { governed, more: governed - median(times["open.test"]) };
}

/** As cosign 3 attaches it, with a key and an entry in the log. */
function signatureOf(image: Image, services: SigstoreServices, keys: KeyPair): Image {
  const bundle = craftBundle(services, statementOf(image.manifest.digest), { keys });
  return artifact(image, {
    type: BUNDLE_TYPE,
    text: JSON.stringify(bundle),
    layerType: BUNDLE_TYPE,
  });
}

/** The image, with a blob in its repository that is no part of it. */
function withBlob(image: Image, blob: Image["manifest"]): Image {
  return { ...image, blobs: [...image.blobs, blob] };
}

async function ask(cache: Entrepot, name: string, path: string): Promise<Response> {
  const response = await cache.get(`/v2/app/${path}?ns=${name}`);
  await response.bytes();
  return response;
}

/** At how many of the upstreams a path is served without asking anybody. */
async function hitsOf(cache: Entrepot, path: string): Promise<number> {
  const responses = await Promise.all(NAMES.map((name) => ask(cache, name, path)));
  return responses.filter(({ headers }) => headers.get("cache-status")?.includes("; hit")).length;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}
