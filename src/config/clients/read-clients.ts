import { hasMode } from "../access/access-settings.ts";
import type { ClientsSettings } from "../access/clients-settings.ts";
import type { ClientsEntry } from "../clients-schema.ts";
import { readCaBundle } from "../upstreams/certificates.ts";
import type { ClientsContext } from "./clients-context.ts";
import { readIssuers } from "./read-issuers.ts";
import { clientSources, readRules } from "./read-rules.ts";
import { readTokens } from "./read-tokens.ts";
import { readUsers } from "./read-users.ts";

/** Reads `clients` of the configuration: whom the cache knows itself. Problems are reported. */
export function readClients(
  entry: ClientsEntry | undefined,
  context: ClientsContext,
): ClientsSettings | undefined {
  if (!entry) {
    reportUnknown(context);
    return undefined;
  }
  const { htpasswdFile, tokensFile, certificates, rules = [], auditAs = "name" } = entry;
  const users = htpasswdFile === undefined ? undefined : readUsers(htpasswdFile, context);
  const tokens = tokensFile === undefined ? undefined : readTokens(tokensFile, context);
  const jwt = readIssuers(entry.jwt ?? [], context);
  const at = ["clients", "certificates"];
  const ca = readCaBundle(at, certificates?.ca, context);
  if (certificates && !context.hasTls) {
    context.report(at, "needs TLS, in which clients show their certificates: set tls", "key");
  }
  const sources = clientSources(entry);
  // Where registries say who may pull, nobody has to be known here.
  const isAsked = rules.length > 0 || isUsed(context);
  if (sources.length === 0 && (isAsked || entry.auditAs === undefined)) {
    const message =
      "says nothing that a client could show: add htpasswdFile, tokensFile, jwt or certificates";
    context.report(["clients"], message, "key");
  }
  return {
    ...(users ? { users } : {}),
    ...(tokens ? { tokens } : {}),
    jwt,
    ...(certificates && ca !== undefined
      ? { certificates: { ca, listen: certificates.listen } }
      : {}),
    rules: readRules(rules, {
      ...context,
      sources,
      upstreams: context.upstreams.map(({ upstream }) => upstream.name),
    }),
    auditAs,
  };
}

/** Whether an upstream is for the clients that this cache knows. */
function isUsed({ upstreams }: ClientsContext): boolean {
  return upstreams.some(({ upstream }) => hasMode(upstream.access, "clients"));
}

/** Nobody could pull from an upstream whose clients are not known. */
function reportUnknown({ upstreams, report }: ClientsContext): void {
  const message =
    "is for clients that this cache knows, and it knows none: add clients, with its rules";
  for (const { upstream, at } of upstreams) {
    if (hasMode(upstream.access, "clients")) report([...at, "access"], message, "key");
  }
}
