import { expect, test } from "bun:test";
import { homedir } from "node:os";
import { importGiven } from "../configtest/import-text.ts";
import { parse } from "yaml";
import { configErrorOf } from "../configtest/load-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { writeConfig } from "../foreign/write-config.ts";

/** Imports one file; there is no other. */
function importText(text: string): ImportedConfig {
  return importGiven({ "caches/f": text });
}

const service = (name: string, rest: string): string =>
  `services: { ${name}: { image: 'registry:2', ${rest} } }\n`;
const HUB = "REGISTRY_PROXY_REMOTEURL: https://registry-1.docker.io";

test("YAML merge keys in a Compose file are applied", () => {
  const { value } = importText(
    `x-base: &base { image: registry:2, environment: &env { REGISTRY_PROXY_TTL: 24h } }
services:
  hub: { <<: *base, ports: ["5000:5000"], environment: { <<: *env, ${HUB} } }
`,
  );
  expect(value).toEqual({ listen: "0.0.0.0:5000", upstreams: { "docker.io": { maxAge: "24h" } } });
});

test("a doubled dollar sign in a Compose file is one dollar sign", () => {
  const { value } = importText(
    service(
      "hub",
      `environment: { ${HUB}, REGISTRY_PROXY_USERNAME: u, REGISTRY_PROXY_PASSWORD: 'a$$b$$1' }`,
    ),
  );
  const auth = { username: "u", password: "a$b$1" };
  expect(value).toMatchObject({ upstreams: { "docker.io": { auth } } });
});

test("a named volume has the project name as a prefix", () => {
  const dataOf = (more: string): unknown =>
    importText(
      `${service("hub", `environment: { ${HUB} }, volumes: ['d:/var/lib/registry']`)}${more}`,
    ).adoptable[0]?.data;
  expect(dataOf("")).toEqual({ volume: "caches_d" });
  expect(dataOf("name: mine\n")).toEqual({ volume: "mine_d" });
  expect(dataOf("volumes: { d: { name: other } }\n")).toEqual({ volume: "other" });
  expect(dataOf("volumes: { d: { external: true } }\n")).toEqual({ volume: "d" });
});

test("a part of a volume is the data of its registry alone", () => {
  const part = (subpath: string): string =>
    `{ type: volume, source: d, target: /var/lib/registry, volume: { subpath: ${subpath} } }`;
  const dataOf = (subpath: string, more = ""): unknown =>
    importText(
      `${service("hub", `environment: { ${HUB} }, volumes: [${part(subpath)}]`)}${more}`,
    ).adoptable.map(({ data }) => data);
  expect(dataOf("hub")).toEqual([{ volume: "caches_d", subpath: "hub" }]);
  const bound = "volumes: { d: { driver_opts: { type: none, o: bind, device: /srv/d } } }\n";
  expect(dataOf("hub", bound)).toEqual([{ folder: "/srv/d/hub" }]);
  expect(dataOf("../../etc")).toEqual([]);
  expect(dataOf("$NOWHERE")).toEqual([]);
});

test.each([
  ["one volume", ["d:/var/lib/registry", "d:/var/lib/registry"], "volume d"],
  [
    "one folder, written in two ways",
    ["./d:/var/lib/registry", "/in/caches/x/../d/:/var/lib/registry/"],
    "/in/caches/d",
  ],
])("data of several registries is adopted for none: %s", (_, volumes, data) => {
  const [hub, ghcr] = volumes;
  const run = (mount: string | undefined, url: string): string =>
    `docker run -v ${mount} ${url === "" ? "" : `-e REGISTRY_PROXY_REMOTEURL=https://${url}`} registry:2\n`;
  const both = importText(run(hub, "a.io") + run(ghcr, "b.io"));
  const reason = (name: string, other: string): string =>
    `${other} has the same data, ${data}: it is not adopted for ${name}, since nothing says whose images are in it. Set adopt of that upstream to what is its own, if you know`;
  expect(both.adoptable).toEqual([]);
  expect(Object.values(both.value["upstreams"] ?? {})).not.toContainEqual(
    expect.objectContaining({ adopt: expect.anything() }),
  );
  expect(both.unsupported.map((one) => [one.from.line, one.reason])).toEqual([
    [1, reason("a.io", "b.io (/in/caches/f:2)")],
    [2, reason("b.io", "a.io (/in/caches/f:1)")],
  ]);
  // The images that were pushed would answer for those of the upstream.
  const pushed = importText(run(hub, "a.io") + run(ghcr, ""));
  expect(pushed.adoptable).toEqual([]);
  expect(pushed.unsupported.at(-1)?.reason).toBe(
    reason("a.io", "a registry that is no proxy (/in/caches/f:2)"),
  );
});

test("registries with folders of their own in one volume are adopted", () => {
  const run = (name: string): string =>
    `docker run -v d:/data -e REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data/${name}/ -e REGISTRY_PROXY_REMOTEURL=https://${name} registry:2\n`;
  const { adoptable } = importText(run("a.io") + run("b.io"));
  expect(adoptable.map(({ data }) => data)).toEqual([
    { volume: "d", subpath: "a.io" },
    { volume: "d", subpath: "b.io" },
  ]);
});

test.each([
  ["-v d:/var/lib/registry", "/var/lib/registry/hub", { volume: "d", subpath: "hub" }],
  ["-v d:/data -v e:/data/hub", "/data/hub", { volume: "e" }],
  [
    "--mount type=volume,src=d,dst=/data,volume-subpath=a/b/",
    "/data/hub",
    { volume: "d", subpath: "a/b/hub" },
  ],
  ["--mount type=volume,src=d,dst=/data,subpath=./", "/data", { volume: "d" }],
  ["--mount type=volume,src=d,dst=/data,volume-subpath=../e", "/data", undefined],
  ["-v /srv/d:/data", "/data/a/hub", { folder: "/srv/d/a/hub" }],
  ["-v /srv/d:/dat", "/data/hub", undefined],
])("the data is at the place of rootdirectory in the nearest mount: %s", (flags, root, data) => {
  const { adoptable } = importText(
    `docker run ${flags} -e REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=${root} -e REGISTRY_PROXY_REMOTEURL=https://a.io registry:2\n`,
  );
  expect(adoptable[0]?.data).toEqual(data);
});

test.each([
  [service("hub", `environment: { ${HUB} }, env_file: a.env`), "a.env does not exist"],
  [service("hub", `environment: { ${HUB} }, extends: { service: a }`), "there is no service a"],
  [`services: { hub: { extends: a, environment: { ${HUB} } } }\n`, "there is no service a"],
  [
    service("hub", `environment: [REGISTRY_PROXY_PASSWORD]`),
    "takes its value from the environment",
  ],
  [
    service("hub", `environment: { REGISTRY_PROXY_PASSWORD: }`),
    "takes its value from the environment",
  ],
  ["docker run -e REGISTRY_PROXY_PASSWORD registry:2\n", "takes its value from the environment"],
])("values from outside the file are rejected (%#)", (text, message) => {
  expect(configErrorOf(() => importText(text))).toContain(message);
});

test("combined flags and several docker run commands in a line are supported", () => {
  const run = (url: string, flags: string): string =>
    `docker run ${flags} -e REGISTRY_PROXY_REMOTEURL=${url} registry:2`;
  const { value, adoptable } = importText(
    `${run("https://registry-1.docker.io", "-dp 5000:5000")}; ${run("https://quay.io", "-d --mount type=bind,src=/srv/q,dst=/var/lib/registry -ditp 5010:5000")}\n`,
  );
  expect(value).toEqual({
    listen: "0.0.0.0:5000",
    upstreams: { "docker.io": {}, "quay.io": { port: 5010, adopt: { folder: "/srv/q" } } },
  });
  expect(adoptable).toContainEqual({ upstream: "quay.io", data: { folder: "/srv/q" } });
});

test("a directory name is data: it is neither part of a command nor of a comment", () => {
  const folder = "/srv/my data;touch x\nlisten '`id`' \u2028\"";
  const volumes = JSON.stringify([`${folder}:/var/lib/registry`]);
  const imported = importText(service("hub", `environment: { ${HUB} }, volumes: ${volumes}`));
  const text = writeConfig(imported, "entrepot import f");
  expect(text.match(/^listen.*/gm)).toEqual([expect.stringContaining("listen: 127.0.0.1:5000")]);
  expect(parse(text)).toMatchObject({ upstreams: { "docker.io": { adopt: { folder } } } });
});

test("a key with a line break cannot end the comment that names it", () => {
  const proxy = `proxy: { remoteurl: "https://a.io" }`;
  const imported = importText(`version: 0.1\n${proxy}\n"foo\\nadmin: 0.0.0.0:1": x\n`);
  expect(writeConfig(imported, "entrepot import f")).not.toMatch(/^admin/m);
});

test("without a data directory on the host, there is nothing to adopt", () => {
  expect(importText(service("hub", `environment: { ${HUB} }`)).adoptable).toEqual([]);
  const bucket = `version: 0.1\nstorage: { s3: { bucket: b } }\nproxy: { remoteurl: "https://a.io" }\n`;
  expect(importText(bucket).adoptable).toEqual([]);
});

test("two names of the same registry are rejected as duplicates", () => {
  const text = `apiVersion: registry.extensions.gardener.cloud/v1alpha3\nkind: RegistryConfig\ncaches: [{ upstream: docker.io }, { upstream: index.docker.io }]\n`;
  expect(configErrorOf(() => importText(text))).toContain("index.docker.io is already configured");
});

test("the working and the home directory are resolved, other variables are not", () => {
  const folders = (host: string): unknown[] =>
    importText(
      `docker run -v ${host}:/var/lib/registry -e REGISTRY_PROXY_REMOTEURL=https://a.io registry:2\n`,
    ).adoptable.map(({ data }) => data);
  for (const host of ["$PWD/d", "${PWD}/d", '"$(pwd)/d"']) {
    expect(folders(host)).toEqual([{ folder: "/in/caches/d" }]);
  }
  for (const host of ["~/d", '"$HOME/d"']) {
    expect(folders(host)).toEqual([{ folder: `${homedir()}/d` }]);
  }
  expect(folders("$DATA")).toEqual([]);
});

const secure = (name: string, port: number, host: string, more = ""): string =>
  `docker run -p ${port}:5000 -v ${host}:/certs:ro -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/a.crt -e REGISTRY_HTTP_TLS_KEY=/certs/a.key -e REGISTRY_PROXY_REMOTEURL=https://${name} ${more} registry:2\n`;
const plain = "docker run -p 5020:5000 -e REGISTRY_PROXY_REMOTEURL=https://c.io registry:2\n";
const skipReasons = (imported: ImportedConfig): string[] =>
  imported.unsupported.map(({ reason }) => reason);

test("a certificate is imported with its path on the host", () => {
  const imported = importText(
    secure("a.io", 5000, "/etc/certs") + secure("b.io", 5010, "$PWD/certs"),
  );
  expect(imported.value["tls"]).toEqual({
    certificate: "/etc/certs/a.crt",
    key: "/etc/certs/a.key",
  });
  expect(skipReasons(imported)).toEqual([
    "all ports use the certificate /etc/certs/a.crt: check that it covers this registry's host name",
  ]);
  const same = importText(secure("a.io", 5000, "./certs") + secure("b.io", 5010, "$PWD/certs"));
  const own = { certificate: "/in/caches/certs/a.crt", key: "/in/caches/certs/a.key" };
  expect([same.value["tls"], same.unsupported]).toEqual([own, []]);
});

test.each([
  [secure("a.io", 5000, "/etc/certs") + plain, "some of these registries use it"],
  [secure("a.io", 5000, "certs"), "its certificate is inside the container"],
])("TLS that is lost is a warning (%#)", (text, message) => {
  expect(importText(text).warnings.map((warning) => warning.message)).toEqual([
    expect.stringMatching(new RegExp(`^nodes get plain HTTP.*${message}`)),
  ]);
});

test("a certificate that is requested automatically is not, and one of another registry is taken", () => {
  const automatic = `docker run -p 5030:5000 -e REGISTRY_HTTP_TLS_LETSENCRYPT_CACHEFILE=/c -e REGISTRY_PROXY_REMOTEURL=https://d.io registry:2\n`;
  expect(importText(automatic).warnings.map(({ message }) => message)).toEqual([
    "nodes get plain HTTP from now on, since certificates are not requested automatically: set tls.certificate and tls.key once all nodes use https://",
  ]);
  for (const other of [automatic, secure("d.io", 5030, "certs")]) {
    const { value, warnings, unsupported } = importText(secure("a.io", 5000, "/etc/certs") + other);
    expect(value["tls"]).toEqual({ certificate: "/etc/certs/a.crt", key: "/etc/certs/a.key" });
    expect(warnings).toEqual([]);
    expect(unsupported.map(({ reason }) => reason)).toEqual([
      "all ports use the certificate /etc/certs/a.crt: check that it covers this registry's host name",
    ]);
  }
});

const PROXY = "-e REGISTRY_PROXY_REMOTEURL=https://ghcr.io";

test("a registry with another image name is recognized by its settings", () => {
  const upstreams = { "ghcr.io": { listen: "0.0.0.0:5010" } };
  const run = `docker run -p 5010:5000 ${PROXY} harbor.corp/hub/registry:2\ndocker run nginx\n`;
  expect(importText(run).value).toMatchObject({ upstreams });
  const copy = (rest: string): string =>
    `services: { r: { image: 'harbor.corp/hub/registry:2', ports: ['5010:5000'], ${rest} } }\n`;
  const configured = copy("environment: { REGISTRY_PROXY_REMOTEURL: 'https://ghcr.io' }");
  expect(importText(configured).value).toMatchObject({ upstreams });
  expect(configErrorOf(() => importText(copy("env_file: a.env")))).toContain(
    "a.env does not exist",
  );
});

test.each([
  [`'REGISTRY_PROXY_PASSWORD=a$b'`, "a$b"],
  [`REGISTRY_PROXY_PASSWORD='a$b'c`, "a$bc"],
  [`"REGISTRY_PROXY_PASSWORD=a\\$b"`, "a$b"],
  [`REGISTRY_PROXY_PASSWORD=a\\$b`, "a$b"],
])("a dollar sign that is literal for a shell is kept: %s", (written, password) => {
  const line = `docker run ${PROXY} -e REGISTRY_PROXY_USERNAME=u -e ${written} registry:2\n`;
  expect(importText(line).value).toMatchObject({
    upstreams: { "ghcr.io": { auth: { username: "u", password } } },
  });
});

test("a variable in double quotes is rejected", () => {
  const line = `docker run ${PROXY} -e "REGISTRY_PROXY_USERNAME=$ME" registry:2\n`;
  expect(configErrorOf(() => importText(line))).toContain("takes its value from a variable");
});

test("a registry that is not a proxy is listed as unsupported beside proxies", () => {
  const { value, unsupported } = importText(
    `services:
  hub: { image: "registry:2", ports: ["5000:5000"], environment: { ${HUB}, REGISTRY_PROXY_NEW: x } }
  push: { image: "registry:2", ports: ["5100:5000"] }
`,
  );
  expect(value).toEqual({ listen: "0.0.0.0:5000", upstreams: { "docker.io": {} } });
  expect(unsupported.map(({ from, reason }) => `${from.what}: ${reason}`)).toEqual([
    "services.hub.environment.REGISTRY_PROXY_NEW: unknown setting",
    "services.push: is not a pull-through cache, since it has no proxy.remoteurl: it is not replaced",
  ]);
});
