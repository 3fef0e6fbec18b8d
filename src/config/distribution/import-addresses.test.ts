import { expect, test } from "bun:test";
import { parse } from "yaml";
import { configErrorOf, filesOf } from "../configtest/load-text.ts";
import { ImportedConfig } from "../foreign/imported-config.ts";
import { formatOrigin, writeConfig } from "../foreign/write-config.ts";
import { importFiles } from "../import-files.ts";
import { loadSettings } from "../load.ts";
import { addressOf } from "../settings.ts";
import { type GivenAddress, importAddresses } from "./import-addresses.ts";

function importTexts(
  texts: readonly string[],
  given: Readonly<Record<string, GivenAddress>> = {},
): ImportedConfig {
  const files = new Map(texts.map((text, index) => [`f${index}`, text]));
  return importFiles({
    files: [...files.keys()],
    readFile: (file) => files.get(file) ?? "",
    secrets: { folder: undefined, readFile: () => "" },
    addresses: new Map(Object.entries(given)),
  });
}

/** The sockets that a cache with an imported configuration opens for nodes. */
function opened(imported: ImportedConfig): Record<string, string> {
  const text = writeConfig(imported, "entrepot import");
  const settings = loadSettings({ flags: { config: "/e" }, readFile: filesOf({ "/e": text }) });
  const shown = ({ host, port }: { host: string; port: number }): string => `${host} ${port}`;
  return {
    listen: shown(settings.listen),
    ...Object.fromEntries(
      [...settings.upstreams.values()].flatMap((upstream) => {
        const address = addressOf(upstream, settings);
        return address
          ? [[`${upstream.name}${upstream.listen ? " only" : ""}`, shown(address)]]
          : [];
      }),
    ),
  };
}

const HUB = "https://registry-1.docker.io";
const run = (remote: string, flags: string): string =>
  `docker run -d ${flags} -e REGISTRY_PROXY_REMOTEURL=${remote} registry:2\n`;
const service = (name: string, remote: string, rest: string): string =>
  `  ${name}: { image: "registry:2", environment: { REGISTRY_PROXY_REMOTEURL: "${remote}" }, ${rest} }\n`;
const configYml = (remote: string, http: string): string =>
  `version: 0.1\nhttp: ${http}\nproxy: { remoteurl: "${remote}" }\n`;

const cases: [what: string, texts: string[], sockets: Record<string, string>][] = [
  [
    "all at every address",
    [run(HUB, "-p 5000:5000") + run("https://ghcr.io", "-p 5010:5000")],
    { listen: "0.0.0.0 5000", "ghcr.io": "0.0.0.0 5010" },
  ],
  [
    "all at one address of the LAN",
    [run(HUB, "-p 10.0.0.5:5000:5000") + run("https://ghcr.io", "-p 10.0.0.5:5010:5000")],
    { listen: "10.0.0.5 5000", "ghcr.io": "10.0.0.5 5010" },
  ],
  [
    "one at loopback",
    [run(HUB, "-p 5000:5000") + run("https://ghcr.io", "-p 127.0.0.1:5010:5000")],
    { listen: "0.0.0.0 5000", "ghcr.io only": "127.0.0.1 5010" },
  ],
  [
    "Docker Hub at loopback",
    [run(HUB, "-p 127.0.0.1:5000:5000") + run("https://ghcr.io", "-p 5010:5000")],
    { listen: "127.0.0.1 5000", "ghcr.io only": "0.0.0.0 5010" },
  ],
  [
    "all at loopback, where a reverse proxy tells them apart",
    [run(HUB, "-p 127.0.0.1:5000:5000") + run("https://ghcr.io", "-p [::1]:5010:5000")],
    { listen: "127.0.0.1 5000", "ghcr.io only": "::1 5010" },
  ],
  [
    "the same port at two addresses",
    [run(HUB, "-p 10.0.0.5:5000:5000") + run("https://ghcr.io", "-p 10.0.0.6:5000:5000")],
    { listen: "10.0.0.5 5000", "ghcr.io only": "10.0.0.6 5000" },
  ],
  [
    "no Docker Hub",
    [run("https://ghcr.io", "-p 5000:5000")],
    { listen: "127.0.0.1 5001", "ghcr.io only": "0.0.0.0 5000" },
  ],
  [
    "several addresses of one registry",
    [run(HUB, "-p 127.0.0.1:5000:5000 -p 10.0.0.5:80:5000 -p [::1]:5000:5000")],
    { listen: "10.0.0.5 80" },
  ],
  [
    "the host's network",
    [
      run(HUB, "--network host -e REGISTRY_HTTP_ADDR=127.0.0.1:5001") +
        run("https://ghcr.io", "--net=host -e 'REGISTRY_HTTP_ADDR=\"[::1]:5010\"'") +
        run("https://quay.io", "--network=host -e REGISTRY_HTTP_ADDR=:5020"),
    ],
    { listen: "127.0.0.1 5001", "ghcr.io only": "::1 5010", "quay.io only": "0.0.0.0 5020" },
  ],
  [
    "the host's network without an address",
    [run(HUB, "--network host")],
    { listen: "0.0.0.0 5000" },
  ],
  [
    "ports that are not published",
    [
      `services:\n${service("hub", HUB, 'expose: ["5000"]')}${service("ghcr", "https://ghcr.io", "networks: [proxy]")}${service("own", "https://reg.test", "network_mode: none")}`,
    ],
    {
      listen: "127.0.0.1 5000",
      "ghcr.io only": "127.0.0.1 5010",
      "reg.test only": "127.0.0.1 5050",
    },
  ],
  [
    "the long form of Compose, and the network of another service",
    [
      `services:\n  vpn: { image: vpn, ports: ["127.0.0.1:5020:5000"] }\n${service("hub", HUB, 'ports: [{ target: 5000, published: "5000", host_ip: "::1" }]')}${service("quay", "https://quay.io", "network_mode: 'service:vpn'")}${service("loop", "https://loop.test", "network_mode: 'service:loop'")}`,
    ],
    { listen: "::1 5000", "quay.io only": "127.0.0.1 5020", "loop.test only": "127.0.0.1 5050" },
  ],
  [
    "ports that Docker chooses",
    [run(HUB, "-P") + run("https://ghcr.io", "-p 127.0.0.1::5000")],
    { listen: "0.0.0.0 5000", "ghcr.io only": "127.0.0.1 5010" },
  ],
  ["a pod", [run(HUB, "--pod caches").replace("docker", "podman")], { listen: "127.0.0.1 5000" }],
  [
    "config.yml alone",
    [configYml("https://ghcr.io", "{ addr: 'localhost:5010' }")],
    { listen: "127.0.0.1 5000", "ghcr.io only": "127.0.0.1 5010" },
  ],
  [
    "a Unix socket",
    [configYml(HUB, "{ net: unix, addr: /run/registry.sock }")],
    { listen: "127.0.0.1 5000" },
  ],
  ["no address", [configYml(HUB, "{}")], { listen: "127.0.0.1 5000" }],
  [
    "several config.yml with the same inner port",
    [
      configYml("https://ghcr.io", "{ addr: ':5000' }"),
      configYml(HUB, "{ addr: '0.0.0.0:5000' }"),
      configYml("https://reg.kyverno.io", "{ addr: ':5000' }"),
      configYml("https://b.test", "{ addr: ':5000' }"),
      configYml("https://a.test", "{ addr: ':5000' }"),
      configYml("https://quay.io", "{ addr: ':5050' }"),
    ],
    {
      listen: "0.0.0.0 5000",
      "ghcr.io": "0.0.0.0 5010",
      "reg.kyverno.io": "0.0.0.0 5040",
      "b.test": "0.0.0.0 5060",
      "a.test": "0.0.0.0 5070",
      "quay.io": "0.0.0.0 5050",
    },
  ],
  [
    "an inner port beside the same one that is published",
    [run("https://ghcr.io", "-p 5000:5000"), configYml(HUB, "{ addr: ':5000' }")],
    { listen: "0.0.0.0 5050", "ghcr.io": "0.0.0.0 5000" },
  ],
];

test.each(cases)("nothing else is opened than was open: %s", (_, texts, sockets) => {
  expect(opened(importTexts(texts))).toEqual(sockets);
});

test("the admin port makes way for a registry", () => {
  const { value } = importTexts([
    run(HUB, "-p 5000:5000") + run("https://ghcr.io", "-p 127.0.0.1:5001:5000"),
  ]);
  expect(value).toMatchObject({ admin: "127.0.0.1:5002" });
  expect(importTexts([run(HUB, "-p 5001:5000")]).value).toMatchObject({ admin: "127.0.0.1:5002" });
});

test("--port says where nodes reach a registry, and wins over what a file says", () => {
  const text = run(HUB, "") + run("https://ghcr.io", "-p 5010:5000");
  const given = {
    "docker.io": { host: "10.0.0.5", port: 5000 },
    "ghcr.io": { port: 5011 },
  };
  const imported = importTexts([text], given);
  expect(opened(imported)).toEqual({ listen: "10.0.0.5 5000", "ghcr.io only": "0.0.0.0 5011" });
  expect(imported.warnings).toEqual([]);
  expect(writeConfig(imported, "entrepot import f")).toContain(
    "listen: 0.0.0.0:5011 # --port ghcr.io=5011\n",
  );
  const taken = configErrorOf(() =>
    importTexts([text], { "docker.io": { host: "::", port: 5010 } }),
  );
  expect(taken).toBe("f0:2:1: -p 5010:5000: port 5010 is already used by docker.io");
  expect(configErrorOf(() => importTexts([text], { "quay.io": { port: 1 } }))).toBe(
    "--port: quay.io is none of the imported registries: docker.io, ghcr.io",
  );
});

test("each setting of an address names the line that it comes from", () => {
  const text = `services:\n${service("hub", HUB, 'ports: ["5000:5000"]')}${service("ghcr", "https://ghcr.io", 'ports: ["127.0.0.1:5010:5000"]')}`;
  const { settings } = importTexts([text]);
  const origins = settings.map(({ at, from }) => `${at.join(".")} ${formatOrigin(from)}`);
  expect(origins).toContain("listen f0:2 services.hub.ports[0]");
  expect(origins).toContain("upstreams.ghcr.io.listen f0:3 services.ghcr.ports[0]");
});

const doubts: [texts: string[], warning: RegExp][] = [
  [
    [run(HUB, "")],
    /^f0:1 registry:2: docker\.io: no port is published: it is served at 127\.0\.0\.1:5000, .* --port docker\.io=HOST:PORT$/,
  ],
  [
    [run(HUB, "-p 5000:80")],
    /^f0:1 -p 5000:80: docker\.io: no port is mapped to the registry's port, 5000: /,
  ],
  [
    [run(HUB, "-P")],
    /^f0:1 --publish-all: docker\.io: its port on the host changes with each start: 0\.0\.0\.0:5000 was chosen\./,
  ],
  [
    [run(HUB, "-p 5000:5000 -p 80:5000")],
    /^f0:1 -p 80:5000: docker\.io is not served at 0\.0\.0\.0:80 any more, since an upstream has one address, here that of -p 5000:5000$/,
  ],
  [
    [configYml(HUB, "{ addr: :5000 }"), configYml("https://ghcr.io", "{ addr: :5000 }")],
    /^f1:2 http\.addr: ghcr\.io: other registries have port 5000 too, .*: 0\.0\.0\.0:5010 was chosen\. .*--port ghcr\.io=PORT/,
  ],
];

test.each(doubts)("an address that was chosen is said first (%#)", (texts, warning) => {
  const imported = importTexts(texts);
  const lines = imported.warnings.map(({ from, message }) => `${formatOrigin(from)}: ${message}`);
  expect(lines).toContainEqual(expect.stringMatching(warning));
  const text = writeConfig(imported, "entrepot import f");
  expect(text).toContain(`# Check this first:\n#   ${lines[0]}\n`);
  expect(parse(text)).toEqual(imported.value);
});

test("thousands of registries get a port each, until none is left", () => {
  const imported = new ImportedConfig();
  const from = { file: "f", line: 1, column: 1, what: "" };
  const registry = {
    from,
    settings: new Map(),
    reach: { kind: "private", why: "", from },
  } as const;
  const registries = Array.from({ length: 6100 }, (_, index) => {
    return { upstream: `r${index}.test`, registry };
  });
  const addresses = importAddresses(registries, imported, new Map());
  const ports = new Set([...addresses.values()].map(({ port }) => port));
  expect(ports.size).toBe(addresses.size);
  expect(Math.max(...ports)).toBe(65_530);
  expect(imported.problems).toHaveLength(6100 - addresses.size);
  expect(imported.problems[0]?.message).toBe(
    "no port is left for it: choose one, --port r6049.test=PORT",
  );
});
