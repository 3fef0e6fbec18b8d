import type * as bundle from "@sigstore/bundle";
import type * as verify from "@sigstore/verify";

/** The libraries of the sigstore project, of which nothing is loaded where no rule asks for signatures. */
export interface Sigstore {
  readonly verify: typeof verify;
  readonly bundle: typeof bundle;
}

export async function loadSigstore(): Promise<Sigstore> {
  const [verifying, bundling] = await Promise.all([
    import("@sigstore/verify"),
    import("@sigstore/bundle"),
  ]);
  return { verify: verifying, bundle: bundling };
}
