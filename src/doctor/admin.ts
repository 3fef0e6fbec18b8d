import { X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import { isLoopbackHost } from "../config/parsing/host-overlap.ts";
import type { Settings } from "../config/settings.ts";
import { validityFinding } from "./certificate.ts";
import { type Finding, reporter } from "./finding.ts";

/** Checks how the admin port is protected, where others reach it. */
export function adminFindings(
  { admin, adminTls }: Pick<Settings, "admin" | "adminTls">,
  now: number = Date.now(),
): Finding[] {
  const report = reporter("admin", String(admin.port));
  if (!adminTls) {
    if (isLoopbackHost(admin.host)) return [];
    const found = "plain HTTP: whoever reads the network between you and the cache has its tokens";
    return [report("note", found, "set adminTls, or put a proxy with TLS in front of it")];
  }
  const certificate = new X509Certificate(adminTls.certificate);
  const renew = "renew it: the cache reloads the files without a restart";
  const findings = [validityFinding(certificate, report, renew, now)];
  const mode = statSync(adminTls.keyFile, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o004) === 0) return findings;
  const advice = `run \`chmod o-r ${adminTls.keyFile}\`, and make the file readable by the cache's user or group only`;
  return [...findings, report("problem", "every user can read its private key", advice)];
}
