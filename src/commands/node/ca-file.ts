import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "./node-options.ts";

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g;

/**
 * Reads the CA of the cache's certificate from the file of `--ca`, in PEM. `entrepot node` copies it to
 * containerd's configuration directory, so that the wiring does not depend on the original file.
 *
 * @throws UsageError unless the file contains valid certificates and nothing else.
 */
export function readCa(file: string): string {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--ca ${path} cannot be read: ${reason}`);
  }
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0) {
    throw new UsageError(
      `--ca ${path} contains no PEM certificate: pass a file with -----BEGIN CERTIFICATE-----`,
    );
  }
  const certificates = blocks.map(([block, kind = ""]) => {
    // The copy is world-readable.
    if (kind.includes("PRIVATE KEY"))
      throw new UsageError(`--ca ${path} contains a private key: pass only the certificate`);
    if (kind !== "CERTIFICATE")
      throw new UsageError(`--ca ${path} contains a ${kind}: pass only certificates`);
    return readCertificate(path, block);
  });
  const expired = certificates.find(({ validTo }) => Date.parse(validTo) < Date.now());
  if (expired)
    throw new UsageError(`--ca ${path}: ${expired.subject} expired on ${expired.validTo}`);
  return text;
}

function readCertificate(path: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new UsageError(`--ca ${path} contains a certificate that cannot be parsed`);
  }
}
