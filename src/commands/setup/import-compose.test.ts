import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { importFiles } from "../../config/import-files.ts";
import { loadSettings } from "../../config/load.ts";
import { ConfigError } from "../../config/parsing/problems.ts";
import { readText } from "../../config/parsing/read-text.ts";
import { tempDir } from "../../../test/harness/temp-dir.ts";
import { writeForCompose } from "./import-compose.ts";

const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

const isRoot = process.getuid?.() === 0;

/** Imports a Compose file of this text from a folder named caches. */
async function importText(text: string) {
  const dir = stack.use(await tempDir("compose"));
  const folder = dir.file("caches");
  mkdirSync(folder);
  const file = path.join(folder, "compose.yaml");
  writeFileSync(file, text);
  return importFile(file);
}

function importFile(file: string, imported = read(file)) {
  const config = path.join(path.dirname(file), "entrepot.yaml");
  const compose = path.join(path.dirname(file), "entrepot.compose.yaml");
  const steps = writeForCompose(imported, { config, compose, command: "entrepot import" });
  const text = readFileSync(compose, "utf8");
  const { services, volumes } = parse(text);
  const settings = loadSettings({ flags: { config } });
  const value = parse(readFileSync(config, "utf8"));
  return { folder: path.dirname(file), steps, text, services, volumes, settings, value, imported };
}

function read(file: string) {
  const secrets = { folder: undefined, readFile: readText };
  return importFiles({ files: [file], readFile: readText, secrets, names: new Map() });
}

const service = (name: string, remote: string, more: string): string =>
  `  ${name}: { image: "registry:2", environment: { REGISTRY_PROXY_REMOTEURL: "https://${remote}" }, ${more} }\n`;

test("ports are published where they were, at whatever they listen in the container", async () => {
  const { services, settings } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["127.0.0.1:5000:5000"]')}${service("ghcr", "ghcr.io", 'ports: ["127.0.0.1:5010:5000"]')}`,
  );
  expect(services.entrepot.ports).toEqual([
    "127.0.0.1:5000:5000",
    "127.0.0.1:5010:5010",
    "127.0.0.1:5001:5001",
  ]);
  expect(settings).toMatchObject({
    listen: { host: "0.0.0.0", port: 5000 },
    admin: { host: "0.0.0.0", port: 5001 },
    adminTokens: { admin: [expect.stringMatching(/^[\w-]{32}$/)], read: [] },
  });
  expect(services.adopt).toBeUndefined();
});

test.each([
  [["5000:5000"], ["5000:5000"]],
  [["0.0.0.0:5000:5000"], ["0.0.0.0:5000:5000"]],
  [
    ["[::1]:5000:5000", "127.0.0.1:5000:5000"],
    ["[::1]:5000:5000", "127.0.0.1:5000:5000"],
  ],
  [
    ["10.0.0.5:80:5000", "127.0.0.1:5000:5000"],
    ["10.0.0.5:80:80", "127.0.0.1:5000:80"],
  ],
])(
  "%j is published as %j: for IPv6 only where it was, and at every address",
  async (before, after) => {
    const { services, imported } = await importText(
      `services:\n${service("hub", "registry-1.docker.io", `ports: ${JSON.stringify(before)}`)}`,
    );
    expect(imported.warnings).toEqual([]);
    expect(services.entrepot.ports).toEqual([...after, "127.0.0.1:5001:5001"]);
  },
);

test("the admin port is on loopback also where everybody reaches the registries", async () => {
  const { services } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["5001:5000"]')}`,
  );
  expect(services.entrepot.ports).toEqual(["5001:5001", "127.0.0.1:5002:5002"]);
});

test("hosts and name servers of the old containers are those of the new one, without a warning", async () => {
  const { services, text } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["5000:5000"], extra_hosts: ["reg:10.0.0.5", "${HOST_NAME}:10.0.0.6"], dns: [10.0.0.1, "fd00::1"]')}`,
  );
  expect(services.entrepot).toMatchObject({
    extra_hosts: ["reg:10.0.0.5"],
    dns: ["10.0.0.1", "fd00::1"],
  });
  expect(text).not.toContain("HOST_NAME");
});

test("the host's network stays the host's network, with its addresses", async () => {
  const { services, settings, folder } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", "network_mode: host")}`,
  );
  expect(services.entrepot).toMatchObject({ network_mode: "host" });
  expect(services.entrepot.ports).toBeUndefined();
  expect(settings).toMatchObject({ admin: { host: "127.0.0.1" } });
  expect(settings.adminTokens).toBeUndefined();
  expect(existsSync(path.join(folder, "entrepot.admin-token"))).toBe(false);
});

test("old data is mounted read-only for one service, under the names that Docker knows", async () => {
  const { services, volumes, value } = await importText(
    `services:
${service("hub", "registry-1.docker.io", 'volumes: ["hub:/var/lib/registry"]')}${service("reg", "reg.test:5000", 'volumes: ["./reg:/var/lib/registry"], ports: ["5010:5000"]')}${service("ghcr", "ghcr.io", 'ports: ["5020:5000"], volumes: ["all:/data"]').replace("environment: {", 'environment: { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: "/data/ghcr",')}volumes: { hub: , all: { name: shared } }\n`,
  );
  expect(volumes).toEqual({
    data: null,
    "old-1": { name: "caches_hub", external: true },
    "old-2": { name: "shared", external: true },
  });
  const old = services.adopt.volumes.filter(({ target }: { target: string }) =>
    target.startsWith("/old/"),
  );
  expect(old).toEqual([
    { type: "volume", source: "old-1", target: "/old/docker.io", read_only: true },
    {
      type: "bind",
      source: expect.stringMatching(/^\/.*\/caches\/reg$/),
      target: "/old/reg.test_5000",
      read_only: true,
      bind: { create_host_path: false },
    },
    { type: "volume", source: "old-2", target: "/old/ghcr.io", read_only: true },
  ]);
  const folders = Object.entries<{ adopt: unknown }>(value.upstreams);
  expect(Object.fromEntries(folders.map(([name, { adopt }]) => [name, adopt]))).toEqual({
    "docker.io": { folder: "/old/docker.io" },
    "reg.test:5000": { folder: "/old/reg.test_5000" },
    "ghcr.io": { folder: "/old/ghcr.io/ghcr" },
  });
  expect(services.adopt).toMatchObject({ profiles: ["adopt"], network_mode: "none" });
  const mounted = services.entrepot.volumes.map(({ target }: { target: string }) => target);
  expect(mounted).toEqual([
    "/etc/entrepot/entrepot.yaml",
    "/etc/entrepot/entrepot.admin-token",
    "/var/lib/entrepot",
  ]);
});

test("the steps name the registries of the old file, and none of its other services", async () => {
  const { steps } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["5000:5000"]')}  other: { image: nginx }\n`,
  );
  const typed = steps.filter((line) => line.startsWith("  "));
  expect(typed.filter((line) => /(?:stop|start|rm) hub$/.test(line))).toHaveLength(3);
  expect(steps.join("\n")).not.toContain("other");
  // It has an anonymous volume.
  expect(
    steps.filter((line) => line.startsWith("What docker.io had is fetched again")),
  ).toHaveLength(1);
});

test("a certificate is mounted at its place, and who cannot read it yet is told", async () => {
  const dir = stack.use(await tempDir("compose-tls"));
  for (const name of ["cert.pem", "key.pem"]) writeFileSync(dir.file(name), "", { mode: 0o600 });
  writeFileSync(
    dir.file("hub.yml"),
    `version: 0.1
http: { addr: ":5000", tls: { certificate: ${dir.file("cert.pem")}, key: ${dir.file("key.pem")} } }
proxy: { remoteurl: "https://registry-1.docker.io" }
`,
  );
  const output = { config: dir.file("e.yaml"), compose: dir.file("e.compose.yaml"), command: "" };
  const steps = writeForCompose(read(dir.file("hub.yml")), output);
  const { services } = parse(readFileSync(output.compose, "utf8"));
  const bound = services.entrepot.volumes.map(({ source }: { source: string }) => source);
  for (const name of ["cert.pem", "key.pem"]) {
    expect(bound).toContain(dir.file(name));
    expect(steps.join("\n")).toContain(`chgrp 65532 ${dir.file(name)}`);
  }
  expect(bound).toContain("./e.yaml");
});

test.if(isRoot)("the container's user may read what it needs, and others may not", async () => {
  const { folder, steps } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["5000:5000"]')}`,
  );
  for (const name of ["entrepot.yaml", "entrepot.admin-token"]) {
    const { gid, mode } = statSync(path.join(folder, name));
    expect([gid, mode & 0o777]).toEqual([65_532, 0o640]);
  }
  expect(statSync(path.join(folder, "entrepot.compose.yaml")).mode & 0o777).toBe(0o644);
  expect(steps.join("\n")).not.toContain("chgrp");
});

test("nothing is written if one of the files exists", async () => {
  const { folder } = await importText(
    `services:\n${service("hub", "registry-1.docker.io", 'ports: ["5000:5000"]')}`,
  );
  const config = path.join(folder, "again.yaml");
  const compose = path.join(folder, "entrepot.compose.yaml");
  const before = readFileSync(compose, "utf8");
  const again = () =>
    writeForCompose(read(path.join(folder, "compose.yaml")), { config, compose, command: "" });
  expect(again).toThrow(ConfigError);
  expect(existsSync(config)).toBe(false);
  expect(existsSync(path.join(folder, "again.admin-token"))).toBe(false);
  expect(readFileSync(compose, "utf8")).toBe(before);
});

test("names of services, volumes and paths are data: for YAML, for Compose and for a shell", async () => {
  const odd = `$(touch x) \${HOME} \`id\` '"\n  evil: { image: x }\u2028#\u001b[31m`;
  const text = `services:\n  ${JSON.stringify(odd)}:\n    image: registry:2\n    ports: ["5000:5000"]\n    environment: { REGISTRY_PROXY_REMOTEURL: "https://registry-1.docker.io" }\n    volumes: [{ source: ${JSON.stringify(`/srv/${odd.replaceAll("$", "$$")}`)}, target: /var/lib/registry }]\n`;
  const dir = stack.use(await tempDir("compose-odd"));
  const folder = dir.file(odd.replaceAll("/", ""));
  mkdirSync(folder);
  writeFileSync(path.join(folder, "compose.yaml"), text);
  const imported = read(path.join(folder, "compose.yaml"));
  // Whatever is read of such a folder, what is written has nothing more in it.
  imported.adoptable.splice(0, Infinity, {
    upstream: "docker.io",
    data: { folder: `/srv/${odd}` },
  });
  const result = importFile(path.join(folder, "compose.yaml"), imported);
  expect(Object.keys(result.services)).toEqual(["entrepot", "adopt"]);
  const sources = result.services.adopt.volumes.map(({ source }: { source: string }) => source);
  expect(sources).toContain(`/srv/${odd.replaceAll("$", "$$$$")}`);
  const isControl = /[\p{Cc}\p{Zl}\p{Zp}]/u;
  for (const line of result.text.split("\n")) expect(isControl.test(line)).toBe(false);
  // Each word in single quotes, in which a shell expands nothing.
  for (const step of result.steps.filter((line) => line.startsWith("  "))) {
    expect(step.replaceAll(/'(?:[^']|'\\'')*'/g, "")).not.toMatch(/[$`;|<>]/);
  }
});

test.each(["a\\0b", "a".repeat(5000)])("a path that is none is left as it is: %#", async (name) => {
  const dir = stack.use(await tempDir("compose"));
  const file = dir.file("config.yml");
  writeFileSync(
    file,
    `version: 0.1\nhttp: { addr: ":5010", tls: { certificate: "${name}", key: "${name}" } }\nstorage: { filesystem: {} }\nproxy: { remoteurl: "https://ghcr.io" }\n`,
  );
  const compose = dir.file("entrepot.compose.yaml");
  const output = { config: dir.file("entrepot.yaml"), compose, command: "entrepot import" };
  writeForCompose(read(file), output);
  expect(parse(readFileSync(compose, "utf8")).services.entrepot).toBeDefined();
});
