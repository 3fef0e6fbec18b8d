import { expect, test } from "bun:test";
import { rootCertificates } from "node:tls";
import { diffSettings, runningCluster } from "./settings-diff.ts";
import { filesOf, load } from "./configtest/load-text.ts";
import { loadSettings } from "./load.ts";

test("where an upstream is served changes with a restart", () => {
  const loaded = (upstreams: string) => load(`upstreams: { ${upstreams} }\n`);
  const { immediate, needsRestart } = diffSettings(
    loaded(
      "a.io: { port: 5010 }, b.io: { listen: 127.0.0.1:5020 }, c.io: { listen: '[::1]:5030' }",
    ),
    loaded(
      "a.io: { listen: 127.0.0.1:5010 }, b.io: { port: 5020, tagTtl: 1s }, d.io: { listen: 127.0.0.1:5030 }",
    ),
  );
  expect(immediate).toEqual([
    "upstreams.b.io.tagTtl: 30000 → 1000",
    "upstreams.c.io: removed",
    "upstreams.d.io: added",
  ]);
  expect(needsRestart).toEqual([
    "upstreams.a.io.port: 5010 → none (until then, 5010 stays open)",
    "upstreams.a.io.listen: none → 127.0.0.1:5010",
    "upstreams.b.io.port: none → 5020",
    "upstreams.b.io.listen: 127.0.0.1:5020 → none (until then, 127.0.0.1:5020 stays open)",
    "upstreams.c.io.listen: [::1]:5030 → none (until then, [::1]:5030 stays open)",
    "upstreams.d.io.listen: none → 127.0.0.1:5030",
  ]);
});

test("prefetch is switched off and on without a restart", () => {
  const loaded = (entry: string) => load(`upstreams: { a.io: ${entry} }\n`);
  const [on, off] = [loaded("{}"), loaded("{ prefetch: off }")];
  expect(off.upstreams.values().next().value?.prefetch).toBe("off");
  expect(diffSettings(on, off).immediate).toEqual(['upstreams.a.io.prefetch: "on" → "off"']);
  expect(diffSettings(off, loaded("{ prefetch: on }"))).toEqual({
    immediate: ['upstreams.a.io.prefetch: "off" → "on"'],
    needsRestart: [],
  });
});

test("rates change without a restart", () => {
  const { immediate, needsRestart } = diffSettings(
    load("maxRate: 1MiB\nupstreams: { a.io: {}, b.io: { maxRate: 2KiB } }\n"),
    load(
      'maxRate: [{ from: "22:00", to: "06:00", rate: 1MiB }]\nupstreams: { a.io: { maxRate: 1KiB }, b.io: {} }\n',
    ),
  );
  expect(immediate).toEqual([
    'maxRate: 1048576 → [{"from":"22:00","to":"06:00","rate":1048576}]',
    "upstreams.a.io.maxRate: none → 1024",
    "upstreams.b.io.maxRate: 2048 → none",
  ]);
  expect(needsRestart).toEqual([]);
});

test("a changed CA of a mirror is reported by its fingerprint, not as PEM text", () => {
  const [one = "", two = ""] = rootCertificates;
  const loaded = (ca: string) =>
    loadSettings({
      flags: { config: "/e" },
      readFile: filesOf({
        "/e": "upstreams: { a.io: { mirrors: [{ url: https://m.io, ca: ca.pem }] } }\n",
        "/ca.pem": ca,
      }),
    });
  const { immediate } = diffSettings(loaded(one), loaded(two));
  expect(immediate).toHaveLength(1);
  expect(immediate[0]).toMatch(/^upstreams\.a\.io\.mirrors: .*"ca":"sha256:[0-9a-f]{12}".* → .*$/);
  expect(immediate[0]).not.toContain("BEGIN CERTIFICATE");
});

test("other replicas and what they know each other by change at once; whether and where they meet, with a restart", () => {
  const loaded = (keys: string, secret = "0123456789abcdef") =>
    loadSettings({
      flags: { config: "/etc/e.yaml" },
      readFile: filesOf({ "/etc/e.yaml": keys, "/etc/s": secret }),
    });
  const one = loaded("cluster: { secretFile: s, members: ['http://10.0.0.7:5002'] }");
  const two = loaded(
    "cluster: { secretFile: s, listen: 6002, advertise: 'http://10.0.0.8:6002' }",
    "another secret of a cluster",
  );
  expect(diffSettings(one, one)).toEqual({ immediate: [], needsRestart: [] });
  expect(diffSettings(one, two)).toEqual({
    immediate: [
      "cluster.secretFile: changed",
      'cluster.members: ["http://10.0.0.7:5002/"] → []',
      'cluster.advertise: none → "http://10.0.0.8:6002/"',
    ],
    needsRestart: ["cluster.listen: 0.0.0.0:5002 → 0.0.0.0:6002"],
  });
  expect(diffSettings(one, loaded("")).needsRestart).toEqual(["cluster: removed"]);
  expect(diffSettings(loaded(""), one).needsRestart).toEqual(["cluster: added"]);
  expect(runningCluster(one.cluster, two.cluster)).toEqual({
    listen: { host: "0.0.0.0", port: 5002 },
    secret: "another secret of a cluster",
    members: [],
    advertise: new URL("http://10.0.0.8:6002"),
  });
  expect(runningCluster(one.cluster, undefined)).toEqual(one.cluster);
});

test("a database's user and password may change while the cache runs, but not the database", () => {
  const loaded = (url: string) =>
    loadSettings({
      flags: { config: "/etc/e.yaml" },
      readFile: filesOf({
        "/etc/e.yaml": "cluster: { secretFile: s, database: { urlFile: d } }",
        "/etc/s": "0123456789abcdef",
        "/etc/d": url,
      }),
    });
  const before = loaded("postgres://me:old@db/cache");
  const rotated = loaded("postgres://you:new@db/cache?sslmode=require");
  const moved = loaded("postgres://me:new@db/other");
  const change = "cluster.database: changed";
  expect(diffSettings(before, rotated)).toEqual({ immediate: [change], needsRestart: [] });
  expect(diffSettings(before, moved)).toEqual({ immediate: [], needsRestart: [change] });
  expect(runningCluster(before.cluster, rotated.cluster)).toEqual(rotated.cluster);
  expect(runningCluster(before.cluster, moved.cluster)).toEqual(before.cluster);
});

test("clients change without a restart, but for whose certificates are asked for", () => {
  const [first, second] = rootCertificates;
  const loaded = (clients: object, ca = first) => ({
    ...load("listen: 5000\n"),
    clients: {
      jwt: [],
      rules: [],
      auditAs: "name" as const,
      certificates: { ca: ca ?? "", listen: { host: "127.0.0.1", port: 5443 } },
      ...clients,
    },
  });
  expect(diffSettings(loaded({}), loaded({}))).toEqual({ immediate: [], needsRestart: [] });
  const token = { name: "ci", token: "0123456789abcdef" };
  expect(diffSettings(loaded({}), loaded({ tokens: [token] }))).toEqual({
    immediate: ["clients: changed"],
    needsRestart: [],
  });
  expect(diffSettings(loaded({}), loaded({}, second))).toEqual({
    immediate: [],
    needsRestart: ["clients.certificates: changed"],
  });
});
