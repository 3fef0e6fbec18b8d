import path from "node:path";
import type { Cache } from "../../cache/cache.ts";
import { SignatureVerifier } from "../../cache/signatures/signature-verifier.ts";
import { TrustRoots } from "../../cache/signatures/trust-roots.ts";
import type { Upstream } from "../../cache/upstream.ts";
import type { Settings } from "../../config/settings.ts";
import type { UpstreamName } from "../../oci/names.ts";
import type { VerificationStore } from "../../store/verification-store.ts";
import type { Log } from "../../telemetry/log.ts";

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
}

export function openVerifier({
  settings,
  records,
  upstreams,
  cache,
  log,
}: VerifierParts): SignatureVerifier {
  const trustRoots = new TrustRoots({
    folder: path.join(settings.dataDirectory, FOLDER),
    onUnfetched: (err, since) =>
      log.warn(
        { err, ...(since === undefined ? {} : { keptSince: new Date(since).toISOString() }) },
        "the trust root of sigstore cannot be fetched",
      ),
  });
  return new SignatureVerifier({
    records,
    trustRoots,
    upstreamOf: (name) => upstreams.get(name),
    lookups: {
      manifests: { get: (...asked) => cache().manifests.get(...asked) },
      evidence: { get: (...asked) => cache().evidence.get(...asked) },
      verdicts: { run: (find) => cache().verdicts.run(find) },
      referrers: { list: (...asked) => cache().referrers.list(...asked) },
    },
    onVerified: ({ repo, digest, rule, outcome, detail }) => {
      const image = `${repo.upstream}/${repo.repository}@${digest}`;
      const line = { image, mode: rule.mode, detail };
      if (outcome === "passed") log.info(line, "signatures verified");
      else log.warn(line, "signatures are not as a rule wants them");
    },
  });
}
