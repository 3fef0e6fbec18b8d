import { readFile, writeFile } from "node:fs/promises";
import { mustRun } from "./processes.ts";
import type { TempDir } from "./temp-dir.ts";

/** Files of a certificate that an authority signed, and of its key. */
export interface Signed {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A private authority for a test. */
export class Authority {
  readonly certificateFile: string;
  readonly #keyFile: string;
  readonly #dir: TempDir;

  constructor(dir: TempDir, name: string) {
    this.#dir = dir;
    this.certificateFile = dir.file(`${name}.pem`);
    this.#keyFile = dir.file(`${name}-key.pem`);
  }

  /** @param names the host's names and addresses, as `subjectAltName` has them: `IP:127.0.0.1` */
  async sign(name: string, names: string, days = 1): Promise<Signed> {
    const signed = {
      certificateFile: this.#dir.file(`${name}.pem`),
      keyFile: this.#dir.file(`${name}-key.pem`),
    };
    const request = this.#dir.file(`${name}.csr`);
    const extension = this.#dir.file(`${name}.ext`);
    await writeFile(extension, `subjectAltName=${names}\n`);
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
    const by = ["-CA", this.certificateFile, "-CAkey", this.#keyFile, "-CAcreateserial"];
    const to = ["-extfile", extension, "-out", signed.certificateFile];
    await openssl("x509", "-req", "-days", String(days), "-in", request, ...by, ...to);
    return signed;
  }

  certificate(): Promise<string> {
    return readFile(this.certificateFile, "utf8");
  }

  async make(): Promise<void> {
    const to = ["-keyout", this.#keyFile, "-out", this.certificateFile];
    await openssl("req", "-x509", "-days", "1", ...KEY, "-subj", "/CN=test authority", ...to);
  }
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"];

async function openssl(...args: readonly string[]): Promise<void> {
  await mustRun(["openssl", ...args]);
}

export async function makeAuthority(dir: TempDir, name = "authority"): Promise<Authority> {
  const authority = new Authority(dir, name);
  await authority.make();
  return authority;
}
