import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { WrongUse } from "./node-options.ts";

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]+?-----END \1-----/g;

/**
 * The authority of the cache's certificate, from `--ca`: a file on this machine, which is copied to
 * where containerd reads it, so that the wiring does not hang on a file that somebody may move.
 *
 * @throws WrongUse where it is not certificates and nothing else.
 */
export function readCa(file: string): string {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WrongUse(`--ca ${path} cannot be read: ${why}`);
  }
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length === 0) {
    throw new WrongUse(
      `--ca ${path} holds no certificate in PEM: it has to begin with -----BEGIN CERTIFICATE-----`,
    );
  }
  const certificates = blocks.map(([block, kind = ""]) => {
    // The copy is for everybody to read.
    if (kind.includes("PRIVATE KEY"))
      throw new WrongUse(`--ca ${path} holds a private key: give the certificate alone`);
    if (kind !== "CERTIFICATE")
      throw new WrongUse(`--ca ${path} holds a ${kind}: give certificates alone`);
    return readCertificate(path, block);
  });
  const ended = certificates.find(({ validTo }) => Date.parse(validTo) < Date.now());
  if (ended) throw new WrongUse(`--ca ${path}: ${ended.subject} was valid until ${ended.validTo}`);
  return text;
}

function readCertificate(path: string, block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new WrongUse(`--ca ${path} holds a certificate that cannot be read`);
  }
}
