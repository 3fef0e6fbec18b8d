import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "./harness/services/certificates.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";

const entrepot = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** The YAML below an upstream, and the error after `entrepot.yaml`. */
const cases: [what: string, yaml: string, message: RegExp][] = [
  [
    "a CA file that is not PEM",
    "ca: rubbish.pem",
    /:3:9: .*\.ca: .*rubbish\.pem contains no certificate in PEM/,
  ],
  ["a missing CA file", "ca: none.pem", /:3:9: .*\.ca: .*none\.pem does not exist/],
  ["a certificate without its key", "clientCertificate: certificate.pem", /:3:5: .*needs both/],
  [
    "a key file without a private key",
    "clientCertificate: certificate.pem\n    clientKey: rubbish.pem",
    /:4:16: .*clientKey: .*rubbish\.pem contains no private key/,
  ],
  ["a SOCKS proxy", "proxy: socks5://x:1", /:3:12: .*proxy: has an unsupported scheme/],
  [
    "a pattern that does not compile",
    'allow: ["team/[a"]',
    /:3:13: .*allow\[0\]: "team\/\[a" has a \[/,
  ],
  ["a pattern with a tag", 'deny: ["**", "app:1"]', /:3:18: .*deny\[1\]: "app:1" names a tag/],
  [
    "a realm with a scheme",
    'trustedRealms: ["https://a.test"]',
    /:3:21: .*trustedRealms\[0\]: is not a valid host/,
  ],
  [
    "a realm with a path",
    "trustedRealms: [a.test/token]",
    /:3:21: .*trustedRealms\[0\]: is not a valid host/,
  ],
  [
    "a private mirror",
    'mirrors: ["http://10.0.0.7"]',
    /:3:15: .*mirrors\[0\]: 10\.0\.0\.7 is a private address/,
  ],
  [
    "a missing password file",
    "auth: { username: a, passwordFile: none }",
    /:3:40: .*passwordFile: .*none does not exist/,
  ],
  [
    "a variable that is not set",
    "auth: { username: a, passwordEnv: NO_SUCH_VARIABLE }",
    /:3:39: .*NO_SUCH_VARIABLE is not set/,
  ],
  [
    "a Secret without username and password",
    "auth: { secretDir: . }",
    /:3:24: .*secretDir: .* has neither username and password/,
  ],
  [
    "a Docker config that is not JSON",
    "auth: { dockerConfig: rubbish.pem }",
    /:3:27: .*dockerConfig: .*rubbish\.pem is not valid JSON/,
  ],
  [
    "a registry that is none of the cloud's",
    "auth: { aws: {} }",
    /:3:13: .*auth\.aws: reg\.test is not the host name of a registry there: if it stands for one, set registry to that one's, such as 123456789012\.dkr\.ecr/,
  ],
  [
    "another cloud's registry",
    "auth: { azure: { registry: europe-docker.pkg.dev } }",
    /:3:13: .*auth\.azure: europe-docker\.pkg\.dev is not the host name of a registry there, such as example\.azurecr\.io/,
  ],
  [
    "two sources of credentials",
    "auth: { username: a, secretDir: . }",
    /:3:11: .*auth: must have only one of/,
  ],
];

test.each(cases)("%s is reported with its position", async (_, yaml, message) => {
  await using dir = await tempDir("bad");
  await makeCertificate(dir);
  await writeFile(dir.file("rubbish.pem"), "rubbish\n");
  const file = dir.file("entrepot.yaml");
  await writeFile(file, `upstreams:\n  reg.test:\n    ${yaml}\n`);
  const { code, stderr } = await run([
    entrepot,
    "serve",
    "--config",
    file,
    "--data",
    dir.file("d"),
  ]);
  expect(stderr).toMatch(message);
  expect(stderr).toContain(file);
  expect(code).toBe(2);
});
