import { readFile } from "node:fs/promises";
import { mustRun } from "../processes.ts";
import type { TempDir } from "../temp-dir.ts";

/** A private key and its self-signed certificate, which is therefore its own CA certificate. */
export interface Certificate {
  readonly keyFile: string;
  readonly certificateFile: string;
  readonly key: string;
  readonly certificate: string;
}

/** Makes a self-signed certificate for these host names and IP addresses, valid for one day. */
export async function makeCertificate(
  dir: TempDir,
  names: readonly string[] = ["localhost", "127.0.0.1"],
): Promise<Certificate> {
  const [keyFile, certificateFile] = [dir.file("key.pem"), dir.file("certificate.pem")];
  const alternatives = names.map((name) =>
    /^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`,
  );
  await mustRun([
    "openssl",
    ..."req -x509 -newkey rsa:2048 -nodes -days 1 -sha256 -batch".split(" "),
    "-subj",
    `/CN=${names[0] ?? "localhost"}`,
    "-addext",
    `subjectAltName=${alternatives.join(",")}`,
    "-keyout",
    keyFile,
    "-out",
    certificateFile,
  ]);
  const [key, certificate] = await Promise.all([
    readFile(keyFile, "utf8"),
    readFile(certificateFile, "utf8"),
  ]);
  return { keyFile, certificateFile, key, certificate };
}
