import type { AccessConfig } from "../../config/access-config.ts";
import { accessEntry, type AccessMode } from "../../config/access/access-settings.ts";
import type { Effect } from "../../config/access/clients-settings.ts";
import { matchesAny } from "../../config/parsing/glob-pattern.ts";
import { quote } from "../../config/parsing/problems.ts";
import type { RepositoryRef } from "../../store/metadata-store.ts";
import { decide } from "./rules.ts";

/** A client that shows nothing, in the place of a principal. */
export const ANONYMOUS = "anonymous";

/** Whether a principal may pull; `upstream`: that is for the registry to say, by the client's credentials. */
export type Verdict = "allow" | "refuse" | "upstream";

/** What decides about a pull, by the configuration alone. */
export interface Explanation {
  readonly verdict: Verdict;
  /** Absent if the registry is not configured. */
  readonly access?: AccessMode;
  /** Where the access is written (`file:line:column`); absent if it is not. */
  readonly accessFrom?: string;
  /** The rule that decides, where one does. */
  readonly rule?: { readonly number: number; readonly effect: Effect; readonly from: string };
  readonly why: string;
}

/** @param principal its name, or `anonymous` */
export function explain(
  { upstreams, rules, sources }: AccessConfig,
  principal: string,
  { upstream, repository }: RepositoryRef,
): Explanation {
  const found = upstreams.get(upstream);
  if (!found) {
    return { verdict: "refuse", why: `${upstream} is no registry of this cache` };
  }
  const entry = accessEntry(found.access, repository);
  const access = entry?.mode ?? "open";
  const place = { access, ...(entry?.from === undefined ? {} : { accessFrom: entry.from }) };
  if (found.allow && !matchesAny(found.allow, repository)) {
    return { ...place, verdict: "refuse", why: `allow of ${upstream} does not list it` };
  }
  if (matchesAny(found.deny, repository)) {
    return { ...place, verdict: "refuse", why: `deny of ${upstream} lists it` };
  }
  switch (access) {
    case "open":
      return { ...place, verdict: "allow", why: "whoever reaches the cache may pull it" };
    case "denied":
      return { ...place, verdict: "refuse", why: "nobody may pull it" };
    case "upstream": {
      const why =
        principal === ANONYMOUS
          ? `${upstream} decides: it may if it is public there`
          : `${upstream} decides, by the credentials that the client sends`;
      return { ...place, verdict: "upstream", why };
    }
    case "clients": {
      if (principal === ANONYMOUS) {
        return { ...place, verdict: "refuse", why: "the client has to show who it is" };
      }
      const source = principal.split(":", 1)[0] ?? "";
      if (!sources.includes(source)) {
        const known = sources.map((one) => `${one}:`).join(", ");
        const called =
          known === "" ? "no clients are configured" : `principals begin with ${known}`;
        const why = `no client is called ${quote(`${source}:`)} here: ${called}`;
        return { ...place, verdict: "refuse", why };
      }
      const { allowed, rule, why } = decide(rules, { name: principal }, { upstream, repository });
      return {
        ...place,
        verdict: allowed ? "allow" : "refuse",
        ...(rule && { rule: { number: rule.index + 1, effect: rule.effect, from: rule.from } }),
        why,
      };
    }
  }
}
