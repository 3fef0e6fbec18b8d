import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { mustRun } from "../processes.ts";
import type { TempDir } from "../temp-dir.ts";

/** PEM files of a certificate signed by a `CertificateAuthority`, and of its private key. */
export interface SignedCertificate {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A private CA, made with openssl. */
export class CertificateAuthority {
  readonly certificateFile: string;
  readonly #keyFile: string;
  readonly #dir: TempDir;

  constructor(dir: TempDir, name: string) {
    this.#dir = dir;
    this.certificateFile = dir.file(`${name}.pem`);
    this.#keyFile = dir.file(`${name}-key.pem`);
  }

  /**
   * Issues a server or client certificate.
   * @param name the file name and the common name
   * @param subjectAltNames in openssl's syntax for `subjectAltName`: `DNS:localhost,IP:127.0.0.1`
   * @param days the validity; a negative number makes a certificate that has expired
   */
  async sign(name: string, subjectAltNames: string, days = 1): Promise<SignedCertificate> {
    const signed = {
      certificateFile: this.#dir.file(`${name}.pem`),
      keyFile: this.#dir.file(`${name}-key.pem`),
    };
    const request = this.#dir.file(`${name}.csr`);
    const extension = this.#dir.file(`${name}.ext`);
    await writeFile(extension, `subjectAltName=${subjectAltNames}\n`);
    await openssl(
      "req",
      "-new",
      ...KEY,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      signed.keyFile,
      "-out",
      request,
    );
    const issuer = ["-CA", this.certificateFile, "-CAkey", this.#keyFile];
    // A file with the last number would be read by one signature while another one writes it.
    const serial = ["-set_serial", `0x${randomBytes(8).toString("hex")}`];
    const output = ["-extfile", extension, "-out", signed.certificateFile];
    await openssl(
      "x509",
      "-req",
      "-days",
      String(days),
      "-in",
      request,
      ...issuer,
      ...serial,
      ...output,
    );
    return signed;
  }

  /** The CA certificate in PEM. */
  certificate(): Promise<string> {
    return readFile(this.certificateFile, "utf8");
  }

  /** Generates the key and the CA certificate. */
  async make(): Promise<void> {
    const output = ["-keyout", this.#keyFile, "-out", this.certificateFile];
    await openssl("req", "-x509", "-days", "1", ...KEY, "-subj", "/CN=test CA", ...output);
  }
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"];

async function openssl(...args: readonly string[]): Promise<void> {
  await mustRun(["openssl", ...args]);
}

export async function makeCertificateAuthority(
  dir: TempDir,
  name = "authority",
): Promise<CertificateAuthority> {
  const ca = new CertificateAuthority(dir, name);
  await ca.make();
  return ca;
}
