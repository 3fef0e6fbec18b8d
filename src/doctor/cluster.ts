import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { z } from "zod";
import { isWildcardHost } from "../config/parsing/host-overlap.ts";
import type { Settings } from "../config/settings.ts";
import { validityFinding } from "./certificate.ts";
import { type Finding, reporter } from "./finding.ts";

/** What a running replica says of its cluster, as far as it is of interest here. */
export const clusterSchema = z.object({
  members: z.array(z.object({ id: z.string(), state: z.string(), version: z.string().optional() })),
  ledger: z.object({ name: z.string(), state: z.string() }).optional(),
  store: z.object({ name: z.string(), state: z.string() }).optional(),
  degraded: z.array(
    z.object({ subject: z.string(), found: z.string(), means: z.string(), advice: z.string() }),
  ),
});

/** A row for each part that works, and one for each that does not, with what that means. */
export function clusterFindings(cluster: z.infer<typeof clusterSchema>): Finding[] {
  const { members, ledger, store, degraded } = cluster;
  const living = members.filter(({ state }) => state === "this" || state === "living");
  const versions = [...new Set(members.flatMap(({ version }) => version ?? []))];
  const report = (subject: string) => reporter("cluster", subject);
  const found = `${living.length} of ${members.length} replicas are living, with ${versions.join(" and ") || "an unknown version"}`;
  return [
    living.length === members.length
      ? report("members")("ok", found)
      : report("members")("note", found, "`entrepot status` lists them"),
    ...(ledger?.state === "up" ? [report("ledger")("ok", `${ledger.name} answers`)] : []),
    ...(store?.state === "up" ? [report("store")("ok", `${store.name} answers`)] : []),
    ...degraded.map((one) =>
      report(one.subject)(
        "problem",
        `the running cache says: ${one.found}: ${one.means}`,
        one.advice,
      ),
    ),
  ];
}

/** A part of the cluster that was asked. */
export interface Probed {
  readonly subject: string;
  readonly found: string;
  /** Absent where it is well. */
  readonly problem?: { readonly means: string; readonly advice: string };
}

export function probedFindings(probed: readonly Probed[]): Finding[] {
  return probed.map(({ subject, found, problem }) => {
    const report = reporter("cluster", subject);
    return problem
      ? report("problem", `${found}: ${problem.means}`, problem.advice)
      : report("ok", found);
  });
}

/** Checks the certificate that this replica shows to the others. */
export function clusterCertificateFindings(
  { cluster }: Pick<Settings, "cluster">,
  now: number = Date.now(),
): Finding[] {
  if (!cluster?.tls) return [];
  const report = reporter("cluster", "certificate");
  const renew = "renew it: others do not ask a replica whose certificate is invalid";
  const certificate = new X509Certificate(cluster.tls.certificate);
  const validity = validityFinding(certificate, report, renew, now);
  const host = ownHost(cluster);
  if (host === undefined || isFor(certificate, host)) return [validity];
  const found = `it is not for ${host}, where other replicas reach this one`;
  const advice = `reissue it with ${host} as subjectAltName, or correct cluster.advertise`;
  return [validity, report("problem", found, advice)];
}

/** The host of this replica's address, where the configuration says it. */
function ownHost({ advertise, listen }: NonNullable<Settings["cluster"]>): string | undefined {
  if (advertise) return advertise.hostname.replaceAll(/[[\]]/g, "");
  return isWildcardHost(listen.host) ? undefined : listen.host;
}

function isFor(certificate: X509Certificate, host: string): boolean {
  const name = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host);
  return name !== undefined;
}
