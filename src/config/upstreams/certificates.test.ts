import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Authority, makeAuthority, type Signed } from "../../../test/harness/authority.ts";
import { type TempDir, tempDir } from "../../../test/harness/places.ts";
import { mustRun } from "../../../test/harness/processes.ts";
import { loadSettings } from "../load.ts";
import { refusal } from "../configtest/load-text.ts";

let dir: TempDir;
let authority: Authority;
let one: Signed;
let other: Signed;

beforeAll(async () => {
  dir = await tempDir("pem");
  authority = await makeAuthority(dir);
  one = await authority.sign("one", "DNS:localhost");
  other = await authority.sign("other", "DNS:localhost");
});

afterAll(() => dir[Symbol.asyncDispose]());

async function load(certificate: string, key: string) {
  const config = dir.file("entrepot.yaml");
  await Bun.write(config, `tls:\n  certificate: ${certificate}\n  key: ${key}\n`);
  return () => loadSettings({ flags: { config }, env: {} });
}

async function joined(name: string, ...files: readonly string[]): Promise<string> {
  const texts = await Promise.all(files.map((file) => Bun.file(file).text()));
  await Bun.write(dir.file(name), texts.join(""));
  return dir.file(name);
}

test("a certificate with those between it and its authority, and the key, also in one file", async () => {
  const both = await joined(
    "both.pem",
    one.certificateFile,
    authority.certificateFile,
    one.keyFile,
  );
  const { tls } = (await load(both, both))();
  const text = await Bun.file(both).text();
  expect(tls).toEqual({
    certificate: text,
    key: text,
    certificateFile: both,
    keyFile: both,
  });
});

test("what does not fit is refused at the place that names it", async () => {
  const locked = dir.file("locked.pem");
  const words = ["-aes128", "-passout", "pass:secret", "-in", one.keyFile, "-out", locked];
  await mustRun(["openssl", "ec", ...words]);
  const odd = dir.file("odd.pem");
  const curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", odd];
  await mustRun(["openssl", "genpkey", ...curve]);
  const short = dir.file("short.pem");
  await mustRun(["openssl", "genrsa", "-out", short, "512"]);
  const unusable =
    "holds a key with which no TLS is made here: take P-256, P-384, Ed25519, or RSA with 2048 bits";
  const turned = await joined("turned.pem", authority.certificateFile, one.certificateFile);
  const rubbish = dir.file("rubbish.pem");
  await Bun.write(rubbish, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const cases: [certificate: string, key: string, message: string][] = [
    [one.certificateFile, other.keyFile, "3:8: tls.key: is not the key of certificate"],
    [
      turned,
      one.keyFile,
      "2:16: tls.certificate: begins with another certificate than the one that key fits, which has to stand first",
    ],
    [
      one.keyFile,
      one.keyFile,
      `2:16: tls.certificate: ${one.keyFile} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`,
    ],
    [
      rubbish,
      one.keyFile,
      `2:16: tls.certificate: ${rubbish} holds a certificate that cannot be read`,
    ],
    [
      one.certificateFile,
      one.certificateFile,
      `3:8: tls.key: ${one.certificateFile} holds no private key in PEM without a passphrase`,
    ],
    [
      one.certificateFile,
      locked,
      `3:8: tls.key: ${locked} holds no private key in PEM without a passphrase`,
    ],
    [one.certificateFile, odd, `3:8: tls.key: ${odd} ${unusable}`],
    [one.certificateFile, short, `3:8: tls.key: ${short} ${unusable}`],
    [dir.path, one.keyFile, `2:16: tls.certificate: ${dir.path} is a directory, not a file`],
  ];
  for (const [certificate, key, message] of cases) {
    const said = refusal(await load(certificate, key));
    expect(said).toBe(`${dir.file("entrepot.yaml")}:${message}`);
  }
});
