import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type CertificateAuthority,
  makeCertificateAuthority,
  type SignedCertificate,
} from "../../../test/harness/services/certificate-authority.ts";
import { type TempDir, tempDir } from "../../../test/harness/temp-dir.ts";
import { mustRun } from "../../../test/harness/processes.ts";
import { loadSettings } from "../load.ts";
import { configErrorOf } from "../configtest/load-text.ts";

let dir: TempDir;
let authority: CertificateAuthority;
let one: SignedCertificate;
let other: SignedCertificate;

beforeAll(async () => {
  dir = await tempDir("pem");
  authority = await makeCertificateAuthority(dir);
  one = await authority.sign("one", "DNS:localhost");
  other = await authority.sign("other", "DNS:localhost");
});

afterAll(() => dir[Symbol.asyncDispose]());

async function load(certificate: string, key: string) {
  const config = dir.file("entrepot.yaml");
  await Bun.write(config, `tls:\n  certificate: ${certificate}\n  key: ${key}\n`);
  return () => loadSettings({ flags: { config }, env: {} });
}

async function concatenated(name: string, ...files: readonly string[]): Promise<string> {
  const texts = await Promise.all(files.map((file) => Bun.file(file).text()));
  await Bun.write(dir.file(name), texts.join(""));
  return dir.file(name);
}

test("a certificate chain and its key are read, even from the same file", async () => {
  const combined = await concatenated(
    "combined.pem",
    one.certificateFile,
    authority.certificateFile,
    one.keyFile,
  );
  const { tls } = (await load(combined, combined))();
  const text = await Bun.file(combined).text();
  expect(tls).toEqual({
    certificate: text,
    key: text,
    certificateFile: combined,
    keyFile: combined,
  });
});

test("an unusable certificate or key is rejected at the key that names it", async () => {
  const encrypted = dir.file("encrypted.pem");
  const args = ["-aes128", "-passout", "pass:secret", "-in", one.keyFile, "-out", encrypted];
  await mustRun(["openssl", "ec", ...args]);
  const secp256k1 = dir.file("secp256k1.pem");
  const curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", secp256k1];
  await mustRun(["openssl", "genpkey", ...curve]);
  const short = dir.file("short.pem");
  await mustRun(["openssl", "genrsa", "-out", short, "512"]);
  const unsupported =
    "contains an unsupported key: use P-256, P-384, Ed25519, or RSA with 2048 bits";
  const reversed = await concatenated(
    "reversed.pem",
    authority.certificateFile,
    one.certificateFile,
  );
  const garbage = dir.file("garbage.pem");
  await Bun.write(garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const cases: [certificate: string, key: string, message: string][] = [
    [one.certificateFile, other.keyFile, "3:8: tls.key: does not match certificate"],
    [
      reversed,
      one.keyFile,
      "2:16: tls.certificate: does not start with the certificate that matches key: put that certificate first",
    ],
    [
      one.keyFile,
      one.keyFile,
      `2:16: tls.certificate: ${one.keyFile} contains no certificate in PEM format (-----BEGIN CERTIFICATE-----)`,
    ],
    [garbage, one.keyFile, `2:16: tls.certificate: ${garbage} contains an invalid certificate`],
    [
      one.certificateFile,
      one.certificateFile,
      `3:8: tls.key: ${one.certificateFile} contains no private key in PEM format without a passphrase`,
    ],
    [
      one.certificateFile,
      encrypted,
      `3:8: tls.key: ${encrypted} contains no private key in PEM format without a passphrase`,
    ],
    [one.certificateFile, secp256k1, `3:8: tls.key: ${secp256k1} ${unsupported}`],
    [one.certificateFile, short, `3:8: tls.key: ${short} ${unsupported}`],
    [dir.path, one.keyFile, `2:16: tls.certificate: ${dir.path} is a directory, not a file`],
  ];
  for (const [certificate, key, message] of cases) {
    const rejection = configErrorOf(await load(certificate, key));
    expect(rejection).toBe(`${dir.file("entrepot.yaml")}:${message}`);
  }
});
