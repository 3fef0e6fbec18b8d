import { X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import { isLoopbackHost, isWildcardHost } from "../config/parsing/host-overlap.ts";
import type { Settings } from "../config/settings.ts";
import { ownAddresses } from "./address.ts";
import { type Finding, reporter } from "./finding.ts";
import type { Machine } from "./machine.ts";

const DAY_MS = 86_400_000;
/** A certificate that is valid for fewer days should be renewed. */
const RENEWAL_DAYS = 14;

/**
 * Checks whether a certificate is valid now, and for how long.
 *
 * @param renew what to do where it is not
 */
export function validityFinding(
  { validFrom, validTo }: X509Certificate,
  report: ReturnType<typeof reporter>,
  renew: string,
  now: number,
): Finding {
  const until = Date.parse(validTo);
  if (now < Date.parse(validFrom)) {
    const advice = "check this machine's clock: `timedatectl`";
    return report("problem", `not valid before ${validFrom}`, advice);
  }
  if (now > until) return report("problem", `expired on ${validTo}`, renew);
  const days = Math.floor((until - now) / DAY_MS);
  const found = `valid for ${days} days`;
  return days < RENEWAL_DAYS ? report("note", found, renew) : report("ok", found);
}

/**
 * Checks the certificate that the cache presents to nodes: its validity period, the permissions of
 * its key file, and whether its names match an address of this machine.
 *
 * @param now milliseconds since the Unix epoch
 */
export function certificateFindings(
  { tls, listen, upstreams }: Settings,
  machine: Machine,
  now: number = Date.now(),
): Finding[] {
  if (!tls) return [];
  const certificate = new X509Certificate(tls.certificate);
  const names = (certificate.subjectAltName ?? "")
    .split(", ")
    .map((name) => name.replace(/^(?:DNS|IP Address):/, ""))
    .filter((name) => name !== "");
  const report = reporter("certificate", names[0] ?? "(no name)");
  const renew = "renew it: the cache reloads the files without a restart";
  const findings = [validityFinding(certificate, report, renew, now)];
  const mode = statSync(tls.keyFile, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o004) !== 0) {
    const advice = `run \`chmod o-r ${tls.keyFile}\`, and make the file readable by the cache's user or group only`;
    findings.push(report("problem", "every user can read its private key", advice));
  }
  if (names.length === 0) {
    const advice =
      "reissue it with the name or address that nodes use for the cache as subjectAltName";
    return [
      ...findings,
      report("problem", "it has no subjectAltName, so clients reject it", advice),
    ];
  }
  const addresses = (ownAddresses(machine) ?? []).map(({ address }) => address);
  const uncovered = addresses.filter((address) => certificate.checkIP(address) === undefined);
  const hasDnsName = certificate.subjectAltName?.includes("DNS:") ?? false;
  if (hasDnsName || uncovered.length < addresses.length) {
    return [...findings, report("ok", `for ${names.join(", ")}`)];
  }
  const hosts = [listen, ...[...upstreams.values()].flatMap((each) => each.listen ?? [])]
    .map(({ host }) => host)
    .filter((host) => !isLoopbackHost(host));
  const reached = hosts.some(isWildcardHost) ? addresses : [...new Set(hosts)];
  const reachableAt = reached.join(" or ") || listen.host;
  return [
    ...findings,
    report(
      "problem",
      `for ${names.join(", ")}, but this machine has none of these addresses`,
      `nodes connect to ${reachableAt}: reissue it for that address, or for a DNS name`,
    ),
  ];
}
