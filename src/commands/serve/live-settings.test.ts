import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { createLog } from "../../telemetry/log.ts";
import { LiveSettings, type Reload } from "./live-settings.ts";

async function started(text: string, files: Readonly<Record<string, string>> = {}) {
  const dir = await tempDir("reload");
  const config = dir.file("entrepot.yaml");
  const write = (changed: string) => writeFile(config, changed);
  const writeFiles = async (others: Readonly<Record<string, string>>): Promise<void> => {
    for (const [name, content] of Object.entries(others)) await writeFile(dir.file(name), content);
  };
  await writeFiles(files);
  await write(text);
  const log = createLog({ format: "json", level: "error" });
  const live = new LiveSettings({ load: { flags: { config }, env: {} }, log });
  return {
    live,
    write,
    writeFiles,
    async [Symbol.asyncDispose]() {
      live.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("a change from before the cache had started is applied", async () => {
  await using at = await started("upstreams: { reg.test: {} }\n");
  await at.write("upstreams: { reg.test: {}, new.test: {} }\n");
  at.live.reload();
  const applied: string[][] = [];
  at.live.onChange(({ upstreams }) => applied.push([...upstreams.keys()]));
  expect(applied).toEqual([["reg.test", "new.test"]]);
});

test("the addresses of upstreams are those of the start, until a restart", async () => {
  await using at = await started(
    `listen: 127.0.0.1:5000
upstreams: { a.test: { listen: 127.0.0.1:5010 }, b.test: { port: 5020 }, c.test: }
`,
  );
  const addresses = () =>
    [...at.live.settings.upstreams.values()].map(({ name, port, listen }) => ({
      name: String(name),
      port,
      listen,
    }));
  const before = addresses();
  // None of them may become reachable elsewhere while its socket stays where it is.
  await at.write(
    `listen: 127.0.0.1:5000
upstreams: { a.test: { tagTtl: 1s }, b.test: { port: 5021 }, c.test: { listen: 127.0.0.1:5030 }, d.test: { listen: 127.0.0.1:5040 } }
`,
  );
  at.live.reload();
  expect(addresses()).toEqual([
    ...before,
    { name: "d.test", port: undefined, listen: { host: "127.0.0.1", port: 5040 } },
  ]);
});

test.each([
  ["an address of its own", "0.0.0.0:5000", "", "0.0.0.0:5000", "listen: 127.0.0.1:5010, "],
  [
    "another address of its own",
    ":5000",
    "listen: 0.0.0.0:5010, ",
    ":5000",
    "listen: 127.0.0.1:5010, ",
  ],
  ["the cache's other address", "0.0.0.0:5000", "", "127.0.0.1:5000", ""],
])(
  "credentials that come with %s are not used at the one from before",
  async (_, listen, own, nextListen, nextOwn) => {
    const file = (address: string, upstreams: string) =>
      `listen: "${address}"\nupstreams: { ${upstreams} }\n`;
    await using at = await started(file(listen, `a.test: { ${own}tagTtl: 1s }, b.test: {}`));
    const before = at.live.settings.upstreams;
    const auth = "auth: { username: robot, password: secret }";
    await at.write(file(nextListen, `a.test: { ${nextOwn}tagTtl: 2s, ${auth} }, b.test: {}`));
    for (const { changes, needsRestart } of [at.live.reload(), at.live.reload()]) {
      expect(changes).toEqual([]);
      expect(needsRestart).toContain("upstreams.a.test.auth: changed");
      expect(needsRestart).toContain("upstreams.a.test.tagTtl: 1000 → 2000");
    }
    expect(at.live.settings.upstreams).toEqual(before);
    expect(await at.live.credentials("a.test")).toBeUndefined();
    // The address is as it was, so everything else is in use at once.
    await at.write(file(listen, `a.test: { ${own}tagTtl: 2s, ${auth} }, b.test: {}`));
    expect(at.live.reload().needsRestart).toEqual([]);
    expect(await at.live.credentials("a.test")).toBeDefined();
  },
);

test.each([
  ["storage: { maxSize: 10GiB }", "storage: { maxSize: 20GiB }"],
  ["admin: 127.0.0.1:5001", "admin: 127.0.0.1:5002"],
  ["listen: 127.0.0.1:5003", "listen: 127.0.0.1:5004"],
  ["workers: 1", "workers: 2"],
  ["workers: 1", "workers: 1\ntracing: { endpoint: 'http://127.0.0.1:4318' }"],
  ["tracing: { endpoint: 'http://127.0.0.1:4318' }", "workers: auto"],
])("from %j to %j needs a restart, and until then all stays as it is", async (first, second) => {
  await using at = await started(`${first}\n`);
  const { written: _, ...before } = at.live.settings;
  await at.write(`${second}\n`);
  for (const { changes, needsRestart } of [at.live.reload(), at.live.reload()]) {
    expect(changes).toEqual([]);
    expect(needsRestart).toHaveLength(1);
  }
  expect(at.live.settings).toMatchObject(before);
  await at.write(`${first}\n`);
  expect(at.live.reload().needsRestart).toEqual([]);
});

test("tokens change at once, but a port that others reach never loses its last one", async () => {
  const [one, other] = ["0123456789abcdef", "fedcba9876543210"];
  await using at = await started(`admin: 0.0.0.0:5001\nadminToken: ${one}\n`);
  const change = "adminToken: changed";
  await at.write(`admin: 0.0.0.0:5001\nadminToken: ${other}\n`);
  expect(at.live.reload()).toMatchObject({ changes: [change], needsRestart: [] });
  expect(at.live.settings.adminTokens?.admin).toEqual([other]);
  // The port stays open to others until the restart.
  await at.write("admin: 127.0.0.1:5001\n");
  expect(at.live.reload().needsRestart).toContain(change);
  expect(at.live.settings.adminTokens?.admin).toEqual([other]);
});

test("changed tokens are told by the key that has them", async () => {
  const [one, other] = ["0123456789abcdef", "fedcba9876543210"];
  await using at = await started("adminTokenFile: admin\nreadTokenFile: read\n", {
    admin: one,
    read: "one-that-only-reads",
  });
  const changes: (readonly string[])[] = [];
  for (const files of [
    { read: "another-that-only-reads" },
    { admin: other },
    { admin: one, read: "one-that-only-reads" },
  ]) {
    await at.writeFiles(files);
    changes.push(at.live.reload().changes);
  }
  expect(changes).toEqual([
    ["readTokenFile: changed"],
    ["adminTokenFile: changed"],
    ["adminTokenFile: changed", "readTokenFile: changed"],
  ]);
});

test("a reload says what it changed, and compares ports with those that are open", async () => {
  await using at = await started("upstreams: { a.test: { port: 7001 }, b.test: {} }\n");
  const told: Reload[] = [];
  at.live.onReload((reload) => told.push(reload));
  const reloaded = async (upstreams: string): Promise<Reload> => {
    await at.write(`upstreams: { ${upstreams} }\n`);
    return at.live.reload();
  };
  const unchanged = { changes: [], needsRestart: [], problems: [] };
  const opened = "upstreams.b.test.port: none → 7002";
  const closed = "upstreams.a.test.port: 7001 → none (until then, 7001 stays open)";
  expect([
    await reloaded("a.test: { port: 7001 }, b.test: {}"),
    await reloaded("a.test: { port: 7001 }, b.test: { port: 7002 }"),
    await reloaded("a.test: { port: 7001 }, b.test: {}"),
    await reloaded("b.test: {}"),
    await reloaded("a.test: {}, b.test: {}"),
    await reloaded("a.test: { port: 7001 }, b.test: {}"),
    await reloaded("a.test: { speed: 1 }"),
  ]).toEqual([
    unchanged,
    { ...unchanged, needsRestart: [opened] },
    unchanged,
    { ...unchanged, changes: ["upstreams.a.test: removed"], needsRestart: [closed] },
    { ...unchanged, changes: ["upstreams.a.test: added"], needsRestart: [closed] },
    unchanged,
    { ...unchanged, problems: [expect.stringContaining('unknown key "speed"')] },
  ]);
  expect(told).toHaveLength(7);
});
