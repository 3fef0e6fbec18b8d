import { readFileSync } from "node:fs";
import { OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import { makeCertificateAuthority } from "../services/certificate-authority.ts";
import { contentOf, descriptor, randomContent } from "../images/content.ts";
import { localUpstream, startEntrepot } from "../cache/entrepot.ts";
import * as faults from "./faults.ts";
import { randomImages, randomNumbers } from "../images/random-images.ts";
import { oneOf, RudeClients, type RudeContent, type Tally } from "./rude-clients.ts";
import { type ScriptedUpstream, startScriptedUpstream } from "../registries/scripted-upstream.ts";
import { tempDir } from "../temp-dir.ts";

const MIB = 1024 * 1024;
const WORKERS = 12;
/** Of the upstream's responses. */
const RUDE_SHARE = 0.08;
/** The upstream ends its stalls so often, in milliseconds. */
const STALL_MS = 5000;
const REPORT_MS = 30_000;
const TAGS = 20_000;

/** What is wrong with a response of the upstream. */
function rudeness(random: () => number): faults.Fault {
  const at = Math.floor(random() ** 3 * 4 * MIB);
  const one = <T>(choices: readonly T[]): T => oneOf(choices, random);
  return one<() => faults.Fault>([
    () => faults.stallAfter(at),
    () => faults.cutAfter(at, "close"),
    () => faults.cutAfter(at, "reset"),
    () => ({ hangUp: one(["close", "reset"] as const) }),
    () => ({ flipBitAt: Math.floor(random() * 2000) }),
    () => ({ shortenBy: 1 + Math.floor(random() * 400) }),
    () => faults.slow(100_000),
    () => ({ ...faults.noRanges, framing: "chunked" }),
    () => ({ framing: "close" }),
    () => faults.htmlPage,
    () => faults.claims({ digest: `sha256:${"0".repeat(64)}` }),
    () => faults.errorResponse(one([404, 500, 503])),
    () => faults.tooManyRequests("1"),
  ])();
}

function addContent(upstream: ScriptedUpstream): RudeContent {
  const images = randomImages({ count: 200, smallest: 10_000, largest: 8_000_000, seed: 5 });
  images.forEach((image, number) => upstream.add(`app${number}`, image, "1"));
  const large = [1, 2, 3].map((seed) => randomContent(40 * MIB, seed));
  for (const blob of large) upstream.addBlob("large", blob);
  const manifest = contentOf(
    {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: descriptor(contentOf("{}", "application/vnd.oci.image.config.v1+json")),
      layers: [],
      annotations: { padding: "x".repeat(3 * MIB) },
    },
    OCI_MANIFEST,
  );
  upstream.add("large", { manifest, blobs: [], children: [] }, "1");
  const [first] = images;
  if (first) upstream.add("tags", first, ...Array.from({ length: TAGS }, (_, tag) => `v${tag}`));
  return { images, large };
}

export interface RudeTrafficOptions {
  readonly seconds: number;
  readonly maxRequests?: number;
  /** The command to run instead of bin/entrepot. */
  readonly program?: readonly string[] | undefined;
  /** Whether nodes connect over TLS. */
  readonly tls?: boolean;
  /** Called every 30 s, and at the end. */
  readonly report?: (state: RudeTrafficState) => void;
}

/** Memory is in bytes. */
export interface RudeTrafficState {
  readonly seconds: number;
  readonly tally: Tally;
  readonly memory: number;
  readonly peak: number;
  /** Blobs that were found corrupt in the store. */
  readonly corrupt: number;
}

/**
 * Sends a cache mixed traffic, with an upstream that stalls, breaks off and lies, and has it scrub its store all the
 * while.
 *
 * @throws Error if the cache ends
 */
export async function runRudeTraffic(options: RudeTrafficOptions): Promise<RudeTrafficState> {
  const { seconds, maxRequests = Infinity, program, tls = false, report = () => {} } = options;
  const random = randomNumbers(17);
  await using dir = await tempDir("rude");
  const authority = tls ? await makeCertificateAuthority(dir) : undefined;
  const certificate = await authority?.sign("cache", "IP:127.0.0.1");
  await using upstream = await startScriptedUpstream();
  const content = addContent(upstream);
  upstream.respond(() => (random() < RUDE_SHARE ? rudeness(random) : undefined));
  await using cache = await startEntrepot({
    ...(program ? { program } : {}),
    config: {
      storage: { maxSize: "200MiB", minFree: 0 },
      upstreams: { "reg.test": { ...localUpstream(upstream.url), tagTtl: "2s" } },
      ...(certificate
        ? { tls: { certificate: certificate.certificateFile, key: certificate.keyFile } }
        : {}),
    },
  });
  const ca = authority ? readFileSync(authority.certificateFile, "utf8") : undefined;
  const clients = new RudeClients(cache, content, { random, ca });
  const { tally } = clients;
  let corrupt = 0;
  const startedAt = performance.now();
  const elapsed = (): number => (performance.now() - startedAt) / 1000;
  const isOver = (): boolean =>
    elapsed() > seconds || tally.requests >= maxRequests || cache.exitCode !== undefined;
  const state = (): RudeTrafficState => ({
    seconds: elapsed(),
    tally,
    memory: cache.residentMemory(),
    peak: cache.peakMemory(),
    corrupt,
  });
  const stalls = setInterval(() => {
    upstream.release();
    // It remembers each request.
    upstream.forget();
  }, STALL_MS);
  const reports = setInterval(() => report(state()), REPORT_MS);
  const work = async (): Promise<void> => {
    while (!isOver()) {
      await clients.actOnce();
      await Bun.sleep(20 + random() * 100);
    }
  };
  const scrub = async (): Promise<void> => {
    while (!isOver()) {
      corrupt += await clients.scrub();
      await Bun.sleep(1000);
    }
  };
  try {
    await Promise.all([...Array.from({ length: WORKERS }, work), scrub()]);
    if (cache.exitCode !== undefined) throw new Error("it is gone");
    const last = state();
    report(last);
    return last;
  } catch (cause) {
    if (cache.exitCode === undefined) throw cause;
    throw new Error(`the cache ended with ${cache.exitCode}:\n${cache.output()}`, { cause });
  } finally {
    clearInterval(stalls);
    clearInterval(reports);
  }
}
