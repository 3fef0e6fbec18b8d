import path from "node:path";
import type { Cache } from "../../cache/cache.ts";
import { FreshVerifier } from "../../cache/signatures/fresh-verifier.ts";
import {
  SignatureVerifier,
  type SignatureVerifierOptions,
} from "../../cache/signatures/signature-verifier.ts";
import { TrustRoots } from "../../cache/signatures/trust-roots.ts";
import type { TrialVerifier } from "../../cache/tag-policy/verifier.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Settings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { VerificationStore } from "../../store/verification-store.ts";
import { Counters } from "../../telemetry/counters.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

/** Below the data directory. */
const FOLDER = "sigstore";

/** What signatures are verified with in a running cache. */
export interface VerifierParts {
  readonly settings: Pick<Settings, "dataDirectory">;
  readonly records: VerificationStore;
  readonly upstreams: ReadonlyMap<UpstreamName, Upstream>;
  /** It is made after its policy. */
  readonly cache: () => Cache;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "counters" | "gauges">;
}

/** Verifies by the rules that hold, and for trials by others. */
export interface OpenVerifier {
  readonly verifier: SignatureVerifier;
  readonly forTrial: (signal: AbortSignal) => TrialVerifier;
}

export function openVerifier({
  settings,
  records,
  upstreams,
  cache,
  log,
  metrics,
}: VerifierParts): OpenVerifier {
  const trustRoots = new TrustRoots({
    folder: path.join(settings.dataDirectory, FOLDER),
    onUnfetched: (err, since) =>
      log.warn(
        { err, ...(since === undefined ? {} : { keptSince: new Date(since).toISOString() }) },
        "the trust root of sigstore cannot be fetched",
      ),
  });
  const verdicts = new Counters();
  for (const mode of ["observe", "enforce"]) {
    // Of a series that begins at 1, Prometheus sees no increase.
    for (const outcome of ["passed", "failed"]) verdicts.add([mode, outcome], 0);
  }
  metrics.counters(
    "entrepot_verifications_total",
    "Digests whose signatures were verified, by the mode of the rule that asks for them, and by what came of it.",
    ["mode", "outcome"],
    () => verdicts,
  );
  const sources: Omit<SignatureVerifierOptions, "onVerified"> = {
    records,
    trustRoots,
    upstreamOf: (name) => upstreams.get(name),
    lookups: {
      manifests: { get: (...asked) => cache().manifests.get(...asked) },
      evidence: { get: (...asked) => cache().evidence.get(...asked) },
      verdicts: { run: (find) => cache().verdicts.run(find) },
      referrers: { list: (...asked) => cache().referrers.list(...asked) },
    },
  };
  const verifier = new SignatureVerifier({
    ...sources,
    onVerified: ({ repo, digest, rule, outcome, detail }) => {
      const image = `${repo.upstream}/${repo.repository}@${digest}`;
      const line = { image, mode: rule.mode, detail };
      verdicts.add([rule.mode, outcome]);
      if (outcome === "passed") log.info(line, "signatures verified");
      else log.warn(line, "signatures are not as a rule wants them");
    },
  });
  metrics.gauges(
    "entrepot_trust_root_fetched_timestamp_seconds",
    "When the trust root of sigstore's public instance was fetched last; 0 if it never could be. None if no rule needs it.",
    [],
    () => {
      const at = verifier.publicTrustFetchedAt;
      return at === undefined ? [] : [{ labels: [], value: at / 1000 }];
    },
  );
  return { verifier, forTrial: (signal) => new FreshVerifier({ ...sources, signal }) };
}
