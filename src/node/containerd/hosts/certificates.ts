import { X509Certificate, createPrivateKey } from "node:crypto";
import type { HostFields } from "../../../config/containerd/hosts-toml.ts";
import type { FileView } from "../../files/node-files.ts";
import { lossyText } from "../../files/node-files.ts";

/** A file that a host names, and what is wrong with it, to follow its path. */
export interface CertificateProblem {
  readonly file: string;
  readonly problem: string;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/**
 * Why containerd cannot load the certificates and keys of a host, with which every pull of the registry
 * fails (tlsConfigFromHost in core/remotes/docker/config/hosts.go): a CA file needs one certificate that
 * can be parsed, and a client certificate needs its own key.
 */
export function certificateProblems(view: FileView, fields: HostFields): CertificateProblem[] {
  const problems: CertificateProblem[] = [];
  for (const file of (fields.ca ?? []).filter(Boolean)) {
    const problem = certificateProblem(view, file);
    if (problem !== undefined) problems.push({ file, problem });
  }
  for (const [certificate, key] of fields.client ?? []) {
    const problem = certificateProblem(view, certificate);
    if (problem !== undefined) problems.push({ file: certificate, problem });
    const keyFile = key === "" ? certificate : key;
    const ofKey = keyProblem(view, keyFile, problem === undefined ? certificate : undefined);
    if (ofKey !== undefined && (problem === undefined || key !== ""))
      problems.push({ file: keyFile, problem: ofKey });
  }
  return problems;
}

/** What containerd loads, and with which TLS fails all the same. */
export function certificateDoubts(view: FileView, fields: HostFields): CertificateProblem[] {
  const ca = (fields.ca ?? []).flatMap((file) => {
    const expired = certificatesIn(view, file).map(expiryOf);
    const [first] = expired;
    const isExpired = first !== undefined && expired.every((time) => time < Date.now());
    return isExpired ? [{ file, problem: `expired on ${dateText(Math.max(...expired))}` }] : [];
  });
  const client = (fields.client ?? []).flatMap(([file]): CertificateProblem[] => {
    const [own, ...issuers] = certificatesIn(view, file);
    if (own === undefined) return [];
    if (expiryOf(own) < Date.now())
      return [{ file, problem: `expired on ${dateText(expiryOf(own))}` }];
    const chain = [own, ...issuers];
    const isBroken = issuers.some((issuer, index) => !chain[index]?.checkIssued(issuer));
    return isBroken
      ? [{ file, problem: "is no chain: each certificate has to be followed by its issuer's" }]
      : [];
  });
  return [...ca, ...client];
}

function certificateProblem(view: FileView, file: string): string | undefined {
  const state = view.read(file);
  if (state === undefined) return "does not exist";
  if (lossyText(state.bytes).match(BLOCK) === null) return "contains no certificate in PEM";
  return certificatesIn(view, file).length > 0
    ? undefined
    : "contains no certificate that can be parsed";
}

function keyProblem(
  view: FileView,
  file: string,
  certificateFile: string | undefined,
): string | undefined {
  const state = view.read(file);
  if (state === undefined) return "does not exist";
  try {
    const key = createPrivateKey(lossyText(state.bytes));
    if (certificateFile === undefined) return undefined;
    const [own] = certificatesIn(view, certificateFile);
    return own?.checkPrivateKey(key) ? undefined : `is not the key of ${certificateFile}`;
  } catch {
    return "contains no private key in PEM without a passphrase";
  }
}

/** The certificates that can be parsed. containerd skips the others as well. */
function certificatesIn(view: FileView, file: string): X509Certificate[] {
  const state = view.read(file);
  const blocks = state ? (lossyText(state.bytes).match(BLOCK) ?? []) : [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)];
    } catch {
      return [];
    }
  });
}

function expiryOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

function dateText(time: number): string {
  return new Date(time).toISOString();
}
