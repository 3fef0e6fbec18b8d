import { expect, test } from "bun:test";
import { loadSettings } from "../load.ts";
import { effectiveKeys, upstreamDefaults } from "./effective-keys.ts";
import { writtenKeys } from "./written-keys.ts";

const FILE = `
listen: 127.0.0.1:5000
admin: :5001
adminTokenFile: token
maxRate:
  - { from: "08:00", to: "18:00", rate: 20MiB }
upstreams:
  auth.example:
    tagTtl: 1h
    allow: [team/*, other]
    auth: { username: robot, passwordFile: password }
    mirrors: [https://mirror.test]
  ghcr.io:
`;

const files: Readonly<Record<string, string>> = {
  "entrepot.yaml": FILE,
  token: "a-token-of-some-length",
  password: "secret",
};

function readFile(path: string): string {
  return files[path.split("/").at(-1) ?? ""] ?? "";
}

test("what is in effect says where it comes from, and no secrets", () => {
  const flags = { config: "entrepot.yaml", listen: "127.0.0.1:6000" };
  const env = { ENTREPOT_DATA: "/data", ENTREPOT_WORKERS: "" };
  const { written = [] } = loadSettings({ flags, env, readFile, hasProgram: () => true });
  const keys = effectiveKeys({ written, flags, env });
  const lines = keys.map(({ key, value, source, at }) =>
    [key, JSON.stringify(value), source, at].filter((part) => part !== undefined).join(" "),
  );
  expect(lines.filter((line) => !line.includes(" default"))).toEqual([
    'listen "127.0.0.1:6000" flag --listen',
    'storage.dir "/data" environment ENTREPOT_DATA',
    'admin ":5001" file entrepot.yaml:3:8',
    'adminTokenFile "token" file entrepot.yaml:4:17',
    'maxRate[0].from "08:00" file entrepot.yaml:6:13',
    'maxRate[0].to "18:00" file entrepot.yaml:6:26',
    'maxRate[0].rate "20MiB" file entrepot.yaml:6:41',
    'upstreams.auth.example.tagTtl "1h" file entrepot.yaml:9:13',
    'upstreams.auth.example.allow ["team/*","other"] file entrepot.yaml:10:12',
    "upstreams.auth.example.auth.username file entrepot.yaml:11:23",
    'upstreams.auth.example.auth.passwordFile "password" file entrepot.yaml:11:44',
    'upstreams.auth.example.mirrors ["https://mirror.test"] file entrepot.yaml:12:14',
    "upstreams.ghcr.io null file entrepot.yaml:13:3",
  ]);
  const defaults = keys.filter(({ source }) => source === "default");
  expect(defaults.map(({ key }) => key)).not.toContain("listen");
  expect(Object.fromEntries(defaults.map(({ key, value }) => [key, value]))).toMatchObject({
    workers: "auto",
    "storage.scrub": "4MiB",
    "readiness.pulledWithin": "7d",
  });
  // Nothing is traced, audited or told without a setting of its own.
  expect(defaults.filter(({ key }) => /^(tracing|audit|events|kubernetes)\./.test(key))).toEqual(
    [],
  );
  expect(upstreamDefaults()).toContainEqual({
    key: "maxRate",
    value: "no limit",
    source: "default",
  });
});

test("a value is shown only if nothing around it looks like a secret", () => {
  const at = (): string => "";
  const shown = (written: object): unknown[] => writtenKeys(written, at).map(({ value }) => value);
  expect(shown({ adminToken: "x", password: "x", sharedSecret: "x", apiKey: ["x"] })).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(shown({ auth: { password: { nested: "x" } }, headers: { "X-Any": "x" } })).toEqual([
    undefined,
    undefined,
  ]);
  // A receiver may know who may send to it by its URL alone.
  expect(shown({ events: { webhooks: { ops: { url: "https://h/x" } } } })).toEqual([undefined]);
  expect(shown({ upstreams: { "auth.test": { tagTtl: 1 }, "secret.test": null } })).toEqual([
    1,
    null,
  ]);
  expect(shown({ a: "HTTPS://u:p@h/x@y", b: "http://h/x@y", c: "u:p@h" })).toEqual([
    "HTTPS://…@h/x@y",
    "http://h/x@y",
    "u:p@h",
  ]);
  expect(shown({ listen: 5000, ok: true, none: [] })).toEqual([5000, true, []]);
});
