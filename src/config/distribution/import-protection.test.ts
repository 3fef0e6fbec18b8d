import { expect, test } from "bun:test";
import { configErrorOf } from "../configtest/load-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";

function importText(text: string, ...withoutAuth: string[]): ImportedConfig {
  return importFiles({
    files: ["f"],
    readFile: () => text,
    secrets: { folder: undefined, readFile: () => "" },
    withoutAuth: new Set(withoutAuth),
  });
}

const run = (flags: string): string =>
  `docker run -p 5010:5000 ${flags} -e REGISTRY_PROXY_REMOTEURL=https://ghcr.io registry:2\n`;
const configYml = (rest: string): string =>
  `version: 0.1\nhttp: { addr: 'localhost:5010' }\nproxy: { remoteurl: "https://ghcr.io" }\n${rest}\n`;
const CREDENTIALS = "-e REGISTRY_PROXY_USERNAME=robot -e REGISTRY_PROXY_PASSWORD=s3cret";
const TLS = "-e REGISTRY_HTTP_TLS_CERTIFICATE=/c -e REGISTRY_HTTP_TLS_KEY=/k";

const lost: [text: string, message: string][] = [
  [
    run(`-e REGISTRY_AUTH=htpasswd -e REGISTRY_AUTH_HTPASSWD_PATH=/p ${CREDENTIALS}`),
    `f:1:1: -e REGISTRY_AUTH: clients had to show a password, and this cache asks for nothing: everyone who reaches 0.0.0.0:5010 can pull all that "robot" can pull from ghcr.io, private images too. To accept that, add --drop-auth ghcr.io, and --port ghcr.io=127.0.0.1:5010 to have a reverse proxy on this machine ask for it`,
  ],
  [
    configYml("auth: { htpasswd: { realm: r, path: /p } }"),
    "f:4:28: auth.htpasswd.realm: clients had to show a password, and this cache asks for nothing: every user of this machine, and everyone for whom a reverse proxy forwards to 127.0.0.1:5010, can pull from ghcr.io. To accept that, add --drop-auth ghcr.io",
  ],
  [configYml("auth: { token: { realm: r } }"), "clients had to show a token"],
  [configYml("auth: { silly: { realm: r } }"), "clients had to show a token"],
  [configYml("auth: htpasswd"), "f:4:7: auth: clients had to show a password"],
  [run("-e REGISTRY_AUTH_TOKEN_REALM=r"), "clients had to show a token"],
  [
    run(`-e REGISTRY_HTTP_TLS_CLIENTCAS_0=/ca.pem ${TLS}`),
    "clients had to show a client certificate",
  ],
  [
    configYml("").replace(
      "5010'",
      "5010', tls: { certificate: /c, key: /k, clientcas: [/ca.pem] }",
    ),
    "f:2:77: http.tls.clientcas: clients had to show a client certificate",
  ],
];

test.each(lost)("what becomes public is an error that says to whom (%#)", (text, message) => {
  expect(configErrorOf(() => importText(text))).toContain(message);
  const accepted = importText(text, "ghcr.io");
  expect(accepted.warnings.map((warning) => warning.message)).toContainEqual(
    expect.stringMatching(/^clients are no longer asked for a .*: every.* can pull .*ghcr\.io/),
  );
  expect(accepted.unsupported.filter(({ from }) => /auth|clientcas/i.test(from.what))).toEqual([]);
});

test.each([
  configYml("auth: none"),
  configYml("auth: {}"),
  configYml("auth:"),
  run("-e REGISTRY_AUTH=none"),
  // Without TLS, registry:2 does not ask for certificates.
  run("-e REGISTRY_HTTP_TLS_CLIENTCAS_0=/ca.pem"),
  configYml("").replace("5010'", "5010', tls: { certificate: /c, key: /k, clientcas: [] }"),
])("a registry that let everyone in is imported (%#)", (text) => {
  expect(importText(text).value["upstreams"]).toHaveProperty(["ghcr.io", "listen"]);
});

test("only the named registry may lose its protection", () => {
  const text = run("-e REGISTRY_AUTH=htpasswd");
  expect(configErrorOf(() => importText(text, "quay.io"))).toContain(
    "--drop-auth: quay.io is none of the imported registries: ghcr.io",
  );
});
