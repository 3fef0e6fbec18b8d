import type { Settings } from "../config/settings.ts";
import { openRegistryTransport } from "../upstream/registry-transport.ts";
import { addressFindings } from "./address.ts";
import { cacheFindings } from "./cache.ts";
import { certificateFindings } from "./certificate.ts";
import { diskFindings } from "./disk.ts";
import type { Finding } from "./finding.ts";
import { limitFindings } from "./limits.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { mirrorFindings } from "./ping.ts";
import { portFindings } from "./ports.ts";
import { type Sample, sampleOf, upstreamFindings } from "./upstreams.ts";

export interface ExamineOptions {
  readonly machine?: Machine;
  /** Images to ask for, by upstream: `org/app:1`. */
  readonly images?: ReadonlyMap<string, string>;
  /** Without questions to registries. */
  readonly isOffline?: boolean;
  /** Told which registries have not answered yet. */
  readonly waitingFor?: (names: readonly string[]) => void;
}

/** Everything that can be wrong on the cache's host, in the order in which a pull would meet it. */
export async function examine(
  settings: Settings,
  { machine = thisMachine, images = new Map(), isOffline = false, waitingFor }: ExamineOptions = {},
): Promise<Finding[]> {
  const samples = new Map<string, Sample>();
  for (const name of settings.upstreams.keys()) {
    const sample = sampleOf(name, images.get(name));
    if (sample) samples.set(name, sample);
  }
  const local = [
    ...addressFindings(settings.listen, machine),
    ...(await portFindings(settings, machine)),
    ...certificateFindings(settings, machine),
    ...diskFindings(settings.dataDirectory, machine, settings.storage.minFree),
    ...limitFindings(settings.dataDirectory, machine),
  ];
  if (isOffline) return local;
  const transport = openRegistryTransport();
  const waiting = new Set<string>(settings.upstreams.keys());
  waitingFor?.([...waiting]);
  try {
    // All at once: a registry that cannot be reached takes its time.
    const far = await Promise.all(
      [...settings.upstreams.values()].map(async (upstream) => {
        const findings = await Promise.all([
          upstreamFindings(upstream, transport, samples.get(upstream.name)),
          mirrorFindings(upstream, transport),
        ]);
        waiting.delete(upstream.name);
        waitingFor?.([...waiting]);
        return findings.flat();
      }),
    );
    return [...local, ...far.flat(), ...(await cacheFindings(settings, samples))];
  } finally {
    transport.dialer.close();
  }
}
