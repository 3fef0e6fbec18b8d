import { X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import type { Settings } from "../config/settings.ts";
import { ownAddresses } from "./address.ts";
import { about, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

const DAY = 86_400_000;
const FEW_DAYS = 14;

/** Whether the certificate that nodes are shown holds today, and for how they can call this machine. */
export function certificateFindings(
  { tls, listen }: Settings,
  machine: Machine,
  now: number = Date.now(),
): Finding[] {
  if (!tls) return [];
  const certificate = new X509Certificate(tls.certificate);
  const names = (certificate.subjectAltName ?? "")
    .split(", ")
    .map((name) => name.replace(/^(?:DNS|IP Address):/, ""))
    .filter((name) => name !== "");
  const report = about("certificate", names[0] ?? "(no name)");
  const [from, until] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const days = Math.floor((until - now) / DAY);
  const renew = "renew it: new files are taken up without a restart";
  const findings = [
    now < from
      ? report("problem", `not valid before ${certificate.validFrom}`, "is the clock right?")
      : now > until
        ? report("problem", `expired on ${certificate.validTo}`, renew)
        : report(
            days < FEW_DAYS ? "note" : "ok",
            `valid for ${days} days`,
            days < FEW_DAYS ? renew : undefined,
          ),
  ];
  const mode = statSync(tls.keyFile, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o004) !== 0) {
    const advice = `chmod o-r ${tls.keyFile}, and let the cache's own user or group read it`;
    findings.push(report("problem", "its key can be read by every user", advice));
  }
  if (names.length === 0) {
    const advice = "have it issued with the name by which nodes ask as subjectAltName";
    return [...findings, report("problem", "it has no name, so no client takes it", advice)];
  }
  const addresses = (ownAddresses(machine) ?? []).map(({ address }) => address);
  const uncovered = addresses.filter((address) => certificate.checkIP(address) === undefined);
  const isNamed = certificate.subjectAltName?.includes("DNS:") ?? false;
  if (isNamed || uncovered.length < addresses.length) {
    return [...findings, report("ok", `for ${names.join(", ")}`)];
  }
  return [
    ...findings,
    report(
      "problem",
      `for ${names.join(", ")}, which are no addresses of this machine`,
      `nodes ask for ${listen.host === "0.0.0.0" || listen.host === "::" ? addresses.join(" or ") : listen.host}: have it issued for that, or for a name`,
    ),
  ];
}
