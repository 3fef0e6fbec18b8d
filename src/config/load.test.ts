import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConfigFlags, type LoadedSettings, loadSettings } from "./load.ts";
import { ConfigError } from "./parsing/problems.ts";
import { addressOf } from "./settings.ts";
import { type Env, filesOf, load, configErrorOf } from "./configtest/load-text.ts";

const hub = {
  name: "docker.io",
  url: new URL("https://registry-1.docker.io"),
  tagTtl: 30_000,
  revokedAfter: 3_600_000,
  allowPrivate: false,
  trustedRealms: [],
  maxConnections: 32,
  prefetch: "on",
};

function names(settings: LoadedSettings): string[] {
  return [...settings.upstreams.keys()];
}

const defaultNames = ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "reg.kyverno.io"];

test("without a file, the five default registries are configured", () => {
  const settings = loadSettings();
  expect(settings).toMatchObject({
    listen: { host: "0.0.0.0", port: 5000 },
    admin: { host: "127.0.0.1", port: 5001 },
    dataDirectory: "/var/lib/entrepot",
  });
  expect(settings).not.toHaveProperty("file");
  expect(names(settings)).toEqual(defaultNames);
  expect([...settings.upstreams.values()][0]).toEqual(expect.objectContaining(hub));
});

test.each(["", "# nothing\n", "storage:\n", "storage: {}\n"])(
  "the file %p means the defaults",
  (yaml) => {
    const { file, ...settings } = load(yaml);
    expect(file).toBe("/etc/e.yaml");
    expect(settings).toEqual(loadSettings());
  },
);

test("the keys of a file override the defaults", () => {
  const settings = load(`
listen: "[::]:5000"
admin: 6001
storage: { dir: cache, history: { digests: 5, share: 10% } }
upstreams:
  index.docker.io: { tagTtl: 1m30s, auth: { username: me, passwordFile: secret } }
  GHCR.io: { port: 5010, maxConnections: 8, trustedRealms: [Auth.example.com] }
  quay.io:
  registry.internal:5000: { url: "http://10.0.0.7:5000/base/", allowPrivate: true, tagTtl: 0 }
`);
  expect(settings.listen).toEqual({ host: "::", port: 5000 });
  expect(settings.admin).toEqual({ host: "127.0.0.1", port: 6001 });
  expect(settings.dataDirectory).toBe("/etc/cache");
  const history = { digests: 5, seenWithin: 7 * 86_400_000, share: 0.1 };
  expect(settings.storage).toEqual({ scrub: 4 * 1024 * 1024, history });
  const upstreams: unknown[] = [...settings.upstreams];
  expect(upstreams).toEqual([
    ["docker.io", { ...hub, tagTtl: 90_000, credentials: { username: "me", password: "s3cret" } }],
    [
      "ghcr.io",
      {
        ...hub,
        name: "ghcr.io",
        url: new URL("https://ghcr.io"),
        port: 5010,
        maxConnections: 8,
        trustedRealms: ["auth.example.com"],
      },
    ],
    ["quay.io", { ...hub, name: "quay.io", url: new URL("https://quay.io") }],
    [
      "registry.internal:5000",
      {
        ...hub,
        name: "registry.internal:5000",
        url: new URL("http://10.0.0.7:5000/base"),
        allowPrivate: true,
        tagTtl: 0,
        revokedAfter: 3_600_000,
      },
    ],
  ]);
});

test("an anchor with an alias is resolved", () => {
  const yaml = "upstreams: { a.test: &x { tagTtl: 1h }, b.test: *x }\n";
  expect([...load(yaml).upstreams.values()].map(({ tagTtl }) => tagTtl)).toEqual([
    3_600_000, 3_600_000,
  ]);
});

test("flags override environment variables, which override the file", () => {
  const yaml = "listen: 1.1.1.1:1\nadmin: 127.0.0.1:11\nstorage: { dir: /file }\n";
  const env = {
    ENTREPOT_LISTEN: "2.2.2.2:2",
    ENTREPOT_ADMIN: "localhost:22",
    ENTREPOT_DATA: "/env",
  };
  const flags = { listen: ":3", data: "flag" };
  expect(load(yaml)).toMatchObject({
    listen: { host: "1.1.1.1", port: 1 },
    dataDirectory: "/file",
  });
  expect(load(yaml, {}, env)).toMatchObject({
    listen: { host: "2.2.2.2", port: 2 },
    admin: { host: "localhost", port: 22 },
    dataDirectory: "/env",
  });
  expect(load(yaml, flags, env)).toMatchObject({
    listen: { host: "0.0.0.0", port: 3 },
    admin: { host: "localhost", port: 22 },
    dataDirectory: join(process.cwd(), "flag"),
  });
  const readFile = filesOf({ "/a": "listen: 1", "/b": "listen: 2" });
  const both = loadSettings({ flags: { config: "/a" }, env: { ENTREPOT_CONFIG: "/b" }, readFile });
  expect(both.listen.port).toBe(1);
});

test("the number of workers is a number from 1 to 64, or auto", () => {
  const workersOf = (yaml: string) => load(yaml).workers;
  expect(["{}", "workers: auto", "workers: 1", 'workers: " 64 "'].map(workersOf)).toEqual([
    "auto",
    "auto",
    1,
    64,
  ]);
  expect(load("workers: 4", { workers: "2" }, { ENTREPOT_WORKERS: "3" }).workers).toBe(2);
  expect(load("workers: 4", {}, { ENTREPOT_WORKERS: "auto" }).workers).toBe("auto");
  for (const value of ["65", "-1", "1.5", '""', "Auto", "4 4"]) {
    expect(() => load(`workers: ${value}`)).toThrow("write a number from 1 to 64, or auto");
  }
});

test("an empty variable and a variable of a Kubernetes Service are ignored", () => {
  const env = { ENTREPOT_LISTEN: "", ENTREPOT_PORT: "tcp://10.1.2.3:5000" };
  expect(loadSettings({ env })).toEqual(loadSettings());
});

const invalidFlags: [flags: ConfigFlags, env: Env, message: string][] = [
  [
    { listen: "here" },
    {},
    '--listen: "here" is not a valid address: write host:port, such as 0.0.0.0:5000',
  ],
  [
    {},
    { ENTREPOT_LISTEN: "1:2:3", ENTREPOT_ADMIN: "[::]:5001" },
    `ENTREPOT_LISTEN: "1:2:3" is not a valid address: write host:port, such as 0.0.0.0:5000
ENTREPOT_ADMIN: "[::]:5001" is reachable from other machines, which requires a token: set adminTokenFile, adminToken or ENTREPOT_ADMIN_TOKEN, or use a loopback address, such as 127.0.0.1:5001`,
  ],
  [{ listen: ":5001" }, {}, "--listen: port 5001 is already used by admin at 127.0.0.1:5001"],
  [{ listen: ":7", admin: "7" }, {}, "--admin: port 7 is already used by listen at 0.0.0.0:7"],
  [{ data: "" }, {}, '--data: "" is not a valid path'],
  [{ workers: "0" }, {}, '--workers: "0" is not valid: write a number from 1 to 64, or auto'],
  [
    {},
    { ENTREPOT_WORKERS: "many\n" },
    'ENTREPOT_WORKERS: "many\\n" is not valid: write a number from 1 to 64, or auto',
  ],
  [{ config: "/nope.yaml" }, {}, "--config: /nope.yaml does not exist"],
  [{}, { ENTREPOT_CONFIG: "/nope.yaml" }, "ENTREPOT_CONFIG: /nope.yaml does not exist"],
];

test.each(invalidFlags)(
  "the flags %j with the variables %j are rejected",
  (flags, env, message) => {
    expect(configErrorOf(() => loadSettings({ flags, env, readFile: filesOf({}) }))).toBe(message);
  },
);

test("problems of flags and of the file are reported together", () => {
  expect(configErrorOf(() => load("listn: 1\n", { listen: "x" }))).toBe(
    `--listen: "x" is not a valid address: write host:port, such as 0.0.0.0:5000
/etc/e.yaml:1:1: unknown key "listn": did you mean "listen"? Allowed keys: listen, admin, adminToken, adminTokenFile, readTokenFile, adminTls, tls, plainCredentials, clients, workers, storage, maxRate, tracing, cluster, warm, readiness, kubernetes, policies, events, audit, upstreams`,
  );
  expect(configErrorOf(() => load("upstreams: { a.test: { port: 7 } }", { listen: ":7" }))).toBe(
    "/etc/e.yaml:1:30: upstreams.a.test.port: port 7 is already used by listen",
  );
});

test("the error has all problems as data, and the first 20 in its message", () => {
  const yaml = Array.from({ length: 50 }, (_, index) => `k${index}: 1`).join("\n");
  expect.assertions(3);
  try {
    load(yaml);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.problems[49]).toMatchObject({ file: "/etc/e.yaml", line: 50, column: 1 });
    expect(error.message.split("\n")).toHaveLength(21);
    expect(error.message).toEndWith("\n… and more");
  }
});

test("the same port may be used at several addresses", () => {
  const { listen, upstreams } = load(
    `listen: 10.0.0.5:5000
admin: 127.0.0.1:5000
upstreams:
  a.test: { listen: "127.0.0.2:5000" }
  b.test: { listen: "[::1]:5000" }
  c.test: { port: 5010 }
`,
  );
  const addresses = [...upstreams.values()].map((each) => addressOf(each, { listen }));
  expect(addresses).toEqual([
    { host: "127.0.0.2", port: 5000 },
    { host: "::1", port: 5000 },
    { host: "10.0.0.5", port: 5010 },
  ]);
});

test("port 0 may be used twice", () => {
  expect(loadSettings({ flags: { listen: ":0", admin: "0" } }).admin.port).toBe(0);
});

const hostileFiles: [what: string, yaml: string][] = [
  ["many keys", Array.from({ length: 70_000 }, (_, index) => `k${index}: 1`).join("\n")],
  ["one key 200,000 times", "a: 1\n".repeat(200_000)],
  ["many aliases", `a: &a 1\nb: [${"*a ,".repeat(200_000)}]`],
  ["open brackets", "[".repeat(1_000_000)],
  ["many documents", "---\na: 1\n".repeat(15_000)],
  ["many services", `services:\n${"  a: { image: b }\n".repeat(50_000)}`],
];

test.each(hostileFiles)(
  "a file with %s is rejected quickly",
  (_, yaml) => {
    expect(configErrorOf(() => load(yaml))).toStartWith("/etc/e.yaml:");
  },
  20_000,
);

test("a file of a thousand upstreams is read, and one whose parsing would stop a cache is rejected", () => {
  const upstreams = (count: number) =>
    `upstreams:\n${Array.from({ length: count }, (_, index) => `  r${index}.test: { maxAge: 1h }\n`).join("")}`;
  expect(load(upstreams(1000)).upstreams.size).toBe(1000);
  expect(configErrorOf(() => load(upstreams(2000)))).toBe(
    "/etc/e.yaml:1:1: is too large for an entrepot.yaml: it has more than 20000 keys, values and other tokens of YAML",
  );
});

test("files are read from the file system, and unreadable ones are rejected", () => {
  const folder = mkdtempSync(join(tmpdir(), "entrepot-config-"));
  const at = (name: string) => join(folder, name);
  const rejection = (config: string) => configErrorOf(() => loadSettings({ flags: { config } }));
  try {
    mkdirSync(at("folder"));
    writeFileSync(
      at("good.yaml"),
      "upstreams: { a.test: { auth: { username: u, passwordFile: pw } } }",
    );
    writeFileSync(at("pw"), "pass word\r\n");
    writeFileSync(at("large.yaml"), "#".repeat(1024 * 1024 + 1));
    writeFileSync(at("binary.yaml"), new Uint8Array([0xff, 0xfe, 0x61, 0x00]));
    const loaded = loadSettings({ flags: { config: at("good.yaml") } });
    expect([...loaded.upstreams.values()][0]?.credentials).toEqual({
      username: "u",
      password: "pass word",
    });
    expect(rejection(at("none.yaml"))).toBe(`--config: ${at("none.yaml")} does not exist`);
    expect(rejection(at("folder"))).toBe(`--config: ${at("folder")} is a directory, not a file`);
    expect(rejection(at("large.yaml"))).toBe(`--config: ${at("large.yaml")} is larger than 1 MiB`);
    expect(rejection(at("binary.yaml"))).toBe(`--config: ${at("binary.yaml")} is not UTF-8 text`);
    expect(rejection("/dev/zero")).toBe("--config: /dev/zero is larger than 1 MiB");
    chmodSync(at("good.yaml"), 0);
    // Root can read the file anyway.
    const expected = process.getuid?.() === 0 ? "(accepted)" : "is not readable by this user";
    expect(rejection(at("good.yaml"))).toEndWith(expected);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a default data directory yields to the file", () => {
  const flags = { defaultData: "/checkout/data" };
  expect(load("", flags).dataDirectory).toBe("/checkout/data");
  expect(load("storage: { dir: /file }\n", flags).dataDirectory).toBe("/file");
});
