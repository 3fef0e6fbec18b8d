import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { realTest } from "../../../../test/harness/real-components.ts";
import { CertificateAuthority } from "../../../../test/harness/services/certificate-authority.ts";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { FakeFiles } from "../../nodetest/fake-files.ts";
import { certificateDoubts, certificateProblems } from "./certificates.ts";

const golden = new URL("../../../../test/golden/node/", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, golden), "utf8");
const certificate = read("mirrors-with-tls-and-credentials/before/etc/ssl/client.pem");
const key = read("mirrors-with-tls-and-credentials/before/etc/ssl/client.key");
const garbage = certificate.replace(/\n[\w+/]+\n/, "\nMIIB\n");

const view = new FakeFiles({
  "/ca.pem": certificate,
  "/key.pem": key,
  "/both.pem": key + certificate,
  "/garbage.pem": garbage,
  "/some.pem": garbage + certificate,
  "/empty.pem": "",
});
const problems = (fields: Parameters<typeof certificateProblems>[1]): string[] =>
  certificateProblems(view, fields).map(({ file, problem }) => `${file} ${problem}`);

test("a CA file needs one certificate that can be parsed, as containerd does", () => {
  expect(problems({ ca: ["/ca.pem", "/both.pem", "/some.pem"] })).toEqual([]);
  expect(problems({ ca: ["/none.pem", "/empty.pem", "/key.pem", "/garbage.pem"] })).toEqual([
    "/none.pem does not exist",
    "/empty.pem contains no certificate in PEM",
    "/key.pem contains no certificate in PEM",
    "/garbage.pem contains no certificate that can be parsed",
  ]);
});

test("a client certificate needs its own key", () => {
  expect(
    problems({
      client: [
        ["/ca.pem", "/key.pem"],
        ["/both.pem", ""],
      ],
    }),
  ).toEqual([]);
  expect(problems({ client: [["/ca.pem", "/ca.pem"]] })).toEqual([
    "/ca.pem contains no private key in PEM without a passphrase",
  ]);
  expect(problems({ client: [["/none.pem", "/none.key"]] })).toEqual([
    "/none.pem does not exist",
    "/none.key does not exist",
  ]);
  expect(problems({ client: [["/ca.pem", ""]] })).toEqual([
    "/ca.pem contains no private key in PEM without a passphrase",
  ]);
});

realTest("expired certificates, another's key and a broken chain are told of", async () => {
  await using dir = await tempDir("certificates");
  const ca = new CertificateAuthority(dir, "ca");
  await ca.make();
  const [good, expired] = [await ca.sign("good", "DNS:a"), await ca.sign("expired", "DNS:a", -1)];
  const text = (file: string): string => readFileSync(file, "utf8");
  const files = new FakeFiles({
    "/ca.pem": await ca.certificate(),
    "/chain.pem": text(good.certificateFile) + (await ca.certificate()),
    "/reversed.pem": (await ca.certificate()) + text(good.certificateFile),
    "/good.key": text(good.keyFile),
    "/expired.pem": text(expired.certificateFile),
    "/expired.key": text(expired.keyFile),
  });
  const good1 = { client: [["/chain.pem", "/good.key"]], ca: ["/ca.pem"] } as const;
  expect([...certificateProblems(files, good1), ...certificateDoubts(files, good1)]).toEqual([]);
  expect(certificateProblems(files, { client: [["/chain.pem", "/expired.key"]] })).toEqual([
    { file: "/expired.key", problem: "is not the key of /chain.pem" },
  ]);
  const doubts = certificateDoubts(files, {
    ca: ["/expired.pem"],
    client: [
      ["/expired.pem", "/expired.key"],
      ["/reversed.pem", "/good.key"],
    ],
  });
  expect(doubts.map(({ file, problem }) => `${file} ${problem.split(" ")[0]}`)).toEqual([
    "/expired.pem expired",
    "/expired.pem expired",
    "/reversed.pem is",
  ]);
});
