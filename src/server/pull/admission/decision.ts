import type { AccessDecision, Grant } from "../../../access/decision.ts";
import { accessMode } from "../../../config/access/access-settings.ts";
import type { Upstream } from "../../../cache/upstream.ts";
import type { Fault } from "../../../oci/fault.ts";
import type { RepositoryRef } from "../../../store/metadata-store.ts";
import type { RequestContext } from "../request-context.ts";
import type { Admitted } from "./admitted.ts";

interface Asked {
  readonly upstream: Upstream;
  readonly repo: RepositoryRef;
}

/** As what a request was let in. */
export function grantOf({ upstream, repo }: Asked, { principal }: Admitted): Grant {
  const { access } = upstream.settings;
  if (access === undefined) return "open";
  const mode = accessMode(access, repo.repository);
  if (mode === "upstream") return principal === undefined ? "public" : "granted";
  return mode === "clients" ? "clients" : "open";
}

/** What was decided about a request to a repository, and who sent it, as far as that is known. */
export function decisionOf({
  route,
  admitted,
  fault,
}: Pick<RequestContext, "route" | "admitted" | "fault">): {
  readonly access?: AccessDecision;
  readonly principal?: string;
} {
  if (!route || !("repo" in route)) return {};
  if (admitted) {
    const { principal } = admitted;
    return { access: grantOf(route, admitted), ...(principal === undefined ? {} : { principal }) };
  }
  const access = fault && refusalOf(fault);
  const principal = fault?.detail.kind === "not-permitted" ? fault.detail.principal : undefined;
  return { ...(access ? { access } : {}), ...(principal === undefined ? {} : { principal }) };
}

/** What was decided against a request; `undefined` if it failed for another reason. */
function refusalOf({ detail }: Fault): AccessDecision | undefined {
  switch (detail.kind) {
    case "unauthorized":
      return detail.isAnonymous ? "unauthorized" : "refused";
    case "not-permitted":
    case "slowed":
      return detail.kind;
    case "not-allowed":
      return "denied";
    default:
      return undefined;
  }
}
