import { KnownClients } from "../../access/clients/known-clients.ts";
import { FailedAttempts } from "../../access/failed-attempts.ts";
import type { ProcessKey } from "../../access/process-key.ts";
import { SealedTokens } from "../../access/sealed-tokens.ts";
import { PublicRepositories } from "../../access/verdicts/public-repositories.ts";
import { QuestionCounts } from "../../access/verdicts/question-counts.ts";
import { Verdicts } from "../../access/verdicts/verdicts.ts";
import type { Cache } from "../../cache/cache.ts";
import type { Settings } from "../../config/settings.ts";
import { Admission } from "../../server/pull/admission/admission.ts";
import type { Log } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";

export interface AdmissionParts {
  readonly settings: Pick<Settings, "clients">;
  readonly cache: Cache;
  readonly key: ProcessKey;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "counters" | "gauge">;
}

/** What decides who may pull. */
export interface OpenAdmission {
  readonly admission: Admission;
  readonly clients: KnownClients;
  configure(settings: Pick<Settings, "clients">): void;
}

/** Puts together what decides who may pull. */
export function openAdmission({
  settings,
  cache,
  key,
  log,
  metrics,
}: AdmissionParts): OpenAdmission {
  const onShown = cache.shown.bind(cache);
  const questions = new QuestionCounts();
  const verdicts = new Verdicts({ key, onShown, questions });
  metrics.counters(
    "entrepot_access_questions_total",
    "Questions to upstreams about who may pull, as nobody or with a client's credentials, by the answer: shown, refused, absent or failed.",
    ["upstream", "as", "answer"],
    () => questions,
  );
  metrics.gauge(
    "entrepot_access_verdicts",
    "What upstreams said of the credentials of clients, as far as it is kept.",
    () => verdicts.size,
  );
  const { visibility } = cache.metadata;
  const publicRepositories = new PublicRepositories({ visibility, onShown, questions });
  const clients = new KnownClients({
    key,
    settings: settings.clients,
    onFailed: ({ kind, address, reason }) =>
      log.warn({ kind, client: address, reason }, "a client was not let in"),
    onKeysUnavailable: (issuer, reason) =>
      log.warn({ issuer, reason }, "the keys of an issuer of tokens cannot be fetched"),
  });
  metrics.counters(
    "entrepot_failed_logins_total",
    "Logins of clients that this cache knows itself (clients) that failed, by what was tried: password, token, jwt or certificate.",
    ["kind"],
    () => [...clients.failures].map(([kind, value]) => ({ labels: [kind], value })),
  );
  const admission = new Admission({
    key,
    tokens: new SealedTokens(key),
    publicRepositories,
    verdicts,
    attempts: new FailedAttempts(),
    clients,
  });
  return {
    admission,
    clients,
    configure(changed) {
      clients.configure(changed.clients);
      verdicts.clear();
      publicRepositories.clear();
    },
  };
}
