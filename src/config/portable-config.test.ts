import { expect, test } from "bun:test";
import { documentedKeys } from "./key-reference.ts";
import { readPortableConfig, REFERRING_KEYS } from "./portable-config.ts";

const read = (text: string) => readPortableConfig("entrepot.yaml", () => text);

test("a configuration is read without the files that it names, which are listed", () => {
  const config = read(`
listen: 0.0.0.0:6000
admin: 0.0.0.0:6001
adminTokenFile: secrets/token
tls: { certificate: /etc/tls/cert.pem, key: /etc/tls/key.pem }
storage: { dir: /srv/cache, maxSize: 200GiB }
upstreams:
  docker.io: { port: 6010, auth: { usernameEnv: HUB_USER, passwordFile: hub } }
  index.test: { auth: { secretDir: /run/secrets/index }, ca: "-----BEGIN CERTIFICATE-----" }
  key: { url: "http://10.0.0.7:5000", allowPrivate: true, ca: ca.pem }
`);
  expect(config).toMatchObject({
    listen: { host: "0.0.0.0", port: 6000 },
    hasTls: true,
    dataDirectory: "/srv/cache",
    upstreams: [
      { name: "docker.io", server: "https://registry-1.docker.io", port: 6010 },
      { name: "index.test", server: "https://index.test" },
      { name: "key", server: "https://key" },
    ],
    variables: [{ key: "upstreams.docker.io.auth.usernameEnv", name: "HUB_USER" }],
  });
  expect(config.files.map(({ key, path, isFolder }) => [key, path, isFolder])).toEqual([
    ["adminTokenFile", "secrets/token", false],
    ["tls.certificate", "/etc/tls/cert.pem", false],
    ["tls.key", "/etc/tls/key.pem", false],
    ["upstreams.docker.io.auth.passwordFile", "hub", false],
    ["upstreams.index.test.auth.secretDir", "/run/secrets/index", true],
    ["upstreams.key.ca", "ca.pem", false],
  ]);
});

test.each([
  ["adminToken: 0123456789abcdef0123", "entrepot.yaml:1:13: adminToken: is a secret"],
  [
    "upstreams:\n  docker.io: { auth: { username: me, password: hunter2 } }",
    "entrepot.yaml:2:48: upstreams.docker.io.auth.password: is a secret",
  ],
  [
    "upstreams: { ghcr.io: { proxy: 'http://me:hunter2@proxy:3128' } }",
    "upstreams.ghcr.io.proxy: is a secret",
  ],
  [
    "upstreams: { a.test: { mirrors: [{ url: 'https://b.test', ca: '-----BEGIN PRIVATE KEY-----' }] } }",
    "contains a private key",
  ],
])("a secret in %p is refused, and not repeated", (text, message) => {
  expect(() => read(text)).toThrow(message);
  expect(() => read(text)).not.toThrow(/hunter2|0123456789abcdef0123/);
});

test.each([
  ["listen: 5000\nupstreams: { a.test: { port: 5000 } }", "port 5000 is already used"],
  ["admin: 0.0.0.0:5001", "adminToken"],
  ["upstreams: { a.test: { url: 'http://10.0.0.1' } }", "allowPrivate"],
  ["lisen: 5000", "entrepot.yaml:1:1: "],
])("%p would not start there, and is refused here", (text, message) => {
  expect(() => read(text)).toThrow(message);
});

test("a token in a file lets admin be off loopback, and environment variables here do not count", () => {
  expect(read("admin: 0.0.0.0:5001\nadminTokenFile: token").listen.port).toBe(5000);
});

test("each key of the reference that names a file, a variable or a secret is known as one", () => {
  const { file, upstream } = documentedKeys();
  const names = [...file, ...upstream].map(({ name }) => name.split(".").at(-1) ?? "");
  const suspicious = names.filter((name) =>
    /[Ff]ile|[Tt]oken|[Pp]assword|secret|[Kk]ey$|[Cc]ert|[a-z]Dir$|Env$|Config$|^ca$|proxy/.test(
      name,
    ),
  );
  expect(suspicious.length).toBeGreaterThan(8);
  expect(suspicious.filter((name) => !REFERRING_KEYS.includes(name))).toEqual([]);
});
