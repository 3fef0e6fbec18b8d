import { randomBytes } from "node:crypto";
import { localUpstream, startEntrepot } from "../test/harness/cache/entrepot.ts";
import { contentOf } from "../test/harness/images/content.ts";
import { textImage } from "../test/harness/images/images.ts";
import { basicOf, startPrivateRegistry } from "../test/harness/registries/private-registry.ts";
import { type SmallLoad, smallLoad } from "./load.ts";
import type { Run } from "./run.ts";

/**
 * How the same content is asked for: where it is open, without and with credentials, which Bun takes longer to
 * parse than other headers, and where it is granted to them.
 */
const KINDS = ["open", "presented", "granted"] as const;
/** Each is short, and they alternate: what the machine does besides is then the same for both. */
const SLICES = 6;

/** What it costs a hit that a registry has granted it to its client: beside one that is open, in one process. */
export async function measureAccess(run: Run): Promise<void> {
  await using registry = await startPrivateRegistry();
  const image = textImage({ text: "for those who may see it" });
  const small = contentOf(randomBytes(10 * 1024), "application/octet-stream");
  registry.upstream.add("team/app", image, "1");
  registry.upstream.addBlob("team/app", small);
  registry.grant("ann", "team/app");
  const upstream = localUpstream(registry.upstream.url);
  const auth = { username: "ann", password: "ann-password" };
  await using cache = await startEntrepot({
    config: {
      upstreams: {
        "open.test": { ...upstream, auth },
        "granted.test": { ...upstream, access: "upstream", accessTtl: "1h" },
      },
    },
  });
  const paths = {
    "10 KiB blob": `blobs/${small.digest}`,
    manifest: `manifests/${image.manifest.digest}`,
  };
  const seconds = run.quick ? 1 : 3;
  for (const [what, path] of Object.entries(paths)) {
    const loads: Record<(typeof KINDS)[number], SmallLoad[]> = {
      open: [],
      presented: [],
      granted: [],
    };
    for (let slice = 0; slice < SLICES * run.rounds; slice += 1) {
      for (const kind of slice % 2 === 0 ? KINDS : KINDS.toReversed()) {
        run.step(`hits with a verdict, ${what}, ${slice + 1} of ${SLICES * run.rounds}: ${kind}`);
        const namespace = kind === "granted" ? "granted.test" : "open.test";
        const url = `${cache.url}/v2/team/app/${path}?ns=${namespace}`;
        const headers = kind === "open" ? [] : [`Authorization: ${basicOf("ann")}`];
        loads[kind].push(await smallLoad(url, cache.pid, seconds, headers));
      }
    }
    const median = (kind: (typeof KINDS)[number], figure: keyof SmallLoad): number =>
      loads[kind].map((load) => load[figure]).toSorted((a, b) => a - b)[loads[kind].length >> 1] ??
      0;
    run.add(`hits with a verdict: ${what}`, "entrepot", {
      "requests/s": median("granted", "requestsPerSecond"),
      "requests/s over open":
        median("granted", "requestsPerSecond") / median("open", "requestsPerSecond"),
      "CPU µs per request": median("granted", "cpuMicroseconds"),
      "CPU over open": median("granted", "cpuMicroseconds") / median("open", "cpuMicroseconds"),
      "CPU over open with credentials":
        median("granted", "cpuMicroseconds") / median("presented", "cpuMicroseconds"),
    });
  }
}
