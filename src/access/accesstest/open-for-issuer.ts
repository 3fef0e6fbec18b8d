import { KnownClients } from "../clients/known-clients.ts";
import { FailedAttempts } from "../failed-attempts.ts";
import { ProcessKey } from "../process-key.ts";
import { bearer, clientsOf, HERE } from "./clients.ts";
import type { Issuer } from "./issuer.ts";

const TOKEN = "{ name: ci, issuer: ISSUER, audience: [other, cache], allowPrivate: true MORE }";

/** Clients that are known by the tokens of an issuer. `more` are further keys of it. */
export function openForIssuer(issuer: Issuer, more = "", now: () => number = Date.now) {
  const yaml = `  jwt:\n    - ${TOKEN.replace("ISSUER", issuer.url).replace("MORE", more)}`;
  const problems: string[] = [];
  const delays: number[] = [];
  const clients = new KnownClients({
    key: new ProcessKey(),
    settings: clientsOf(yaml),
    now,
    onKeysUnavailable: (name, reason) => problems.push(`${name}: ${reason}`),
    attempts: new FailedAttempts((milliseconds) => {
      delays.push(milliseconds);
      return Promise.resolve();
    }),
  });
  const identify = async (token: string): Promise<string> => {
    const identity = await clients.identify(bearer(token), HERE);
    if (identity.kind === "principal") return identity.principal.name;
    return identity.kind === "refused" ? identity.reason : identity.kind;
  };
  return { clients, identify, problems, delays };
}
