import type { ProcessKey } from "../../access/process-key.ts";
import { SealedTokens } from "../../access/sealed-tokens.ts";
import { PublicRepositories } from "../../access/verdicts/public-repositories.ts";
import { Verdicts } from "../../access/verdicts/verdicts.ts";
import type { Cache } from "../../cache/cache.ts";
import { Admission } from "../../server/pull/admission/admission.ts";

/** Puts together what decides who may pull. */
export function openAdmission(cache: Cache, key: ProcessKey): Admission {
  const onShown = cache.shown.bind(cache);
  const { visibility } = cache.metadata;
  return new Admission({
    key,
    tokens: new SealedTokens(key),
    publicRepositories: new PublicRepositories({ visibility, onShown }),
    verdicts: new Verdicts({ key, onShown }),
  });
}
