import type { Settings } from "../config/settings.ts";
import { openRegistryTransport } from "../upstream/registry-transport.ts";
import { accessFindings, exposureFindings } from "./access.ts";
import { addressFindings } from "./address.ts";
import { cacheFindings } from "./cache.ts";
import { adminFindings } from "./admin.ts";
import { certificateFindings } from "./certificate.ts";
import { clusterCertificateFindings, type Probed, probedFindings } from "./cluster.ts";
import { diskFindings } from "./disk.ts";
import { diskSpeedFindings } from "./disk-speed.ts";
import type { Finding } from "./finding.ts";
import { limitFindings } from "./limits.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { mirrorFindings } from "./ping.ts";
import { portFindings } from "./ports.ts";
import { runningProblems } from "./running-problems.ts";
import { type Sample, sampleOf, upstreamFindings } from "./upstreams.ts";

export interface ExamineOptions {
  readonly machine?: Machine;
  /** The image to request from each upstream, without the registry: `org/app:1`. */
  readonly images?: ReadonlyMap<string, string>;
  /** Skips all checks that contact registries. */
  readonly isOffline?: boolean;
  /** Asks the parts of the cluster; needed only where no replica runs that knows what is wrong with them. */
  readonly probeCluster?: () => Promise<readonly Probed[]>;
  /** Called with the registries whose checks are still running, whenever that list changes. */
  readonly onPending?: (names: readonly string[]) => void;
}

/**
 * Checks the cache's machine, its network and its registries, in the order in which a pull depends
 * on them.
 */
export async function examine(
  settings: Settings,
  options: ExamineOptions = {},
): Promise<Finding[]> {
  const { machine = thisMachine, images = new Map(), isOffline = false, onPending } = options;
  const samples = new Map<string, Sample>();
  for (const name of settings.upstreams.keys()) {
    const sample = sampleOf(name, images.get(name));
    if (sample) samples.set(name, sample);
  }
  const local = [
    ...addressFindings(settings, machine),
    ...(await portFindings(settings, machine)),
    ...certificateFindings(settings, machine),
    ...clusterCertificateFindings(settings),
    ...adminFindings(settings),
    ...accessFindings(settings),
    ...diskFindings(settings.dataDirectory, machine, settings.storage.minFree),
    ...(await diskSpeedFindings(settings.dataDirectory)),
    ...limitFindings(settings.dataDirectory, machine),
    ...((await runningProblems(settings)) ??
      probedFindings((await options.probeCluster?.()) ?? [])),
  ];
  if (isOffline) return local;
  const transport = openRegistryTransport();
  const pending = new Set<string>(settings.upstreams.keys());
  onPending?.([...pending]);
  try {
    // Concurrently: an unreachable registry is known as such only after a timeout.
    const remote = await Promise.all(
      [...settings.upstreams.values()].map(async (upstream) => {
        const findings = await Promise.all([
          upstreamFindings(upstream, transport, samples.get(upstream.name)),
          mirrorFindings(upstream, transport),
          exposureFindings(upstream, settings, transport),
        ]);
        pending.delete(upstream.name);
        onPending?.([...pending]);
        return findings.flat();
      }),
    );
    return [...local, ...remote.flat(), ...(await cacheFindings(settings, samples))];
  } finally {
    transport.dialer.close();
  }
}
