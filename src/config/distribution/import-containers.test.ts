import { expect, test } from "bun:test";
import { readText } from "../parsing/read-text.ts";
import { refusal } from "../configtest/load-text.ts";
import type { ImportedConfig } from "../foreign/imported-config.ts";
import { importFiles } from "../import-files.ts";
import { writeConfig } from "../foreign/write-config.ts";

function imported(text: string): ImportedConfig {
  return importFiles({
    files: ["/in/caches/f"],
    readFile: () => text,
    secrets: { folder: undefined, readFile: readText },
    names: new Map(),
  });
}

const service = (name: string, rest: string): string =>
  `services: { ${name}: { image: 'registry:2', ${rest} } }\n`;
const HUB = "REGISTRY_PROXY_REMOTEURL: https://registry-1.docker.io";

test("Compose's merge keys are followed", () => {
  const { value } = imported(
    `x-base: &base { image: registry:2, environment: &env { REGISTRY_PROXY_TTL: 24h } }
services:
  hub: { <<: *base, ports: ["5000:5000"], environment: { <<: *env, ${HUB} } }
`,
  );
  expect(value).toEqual({ listen: "0.0.0.0:5000", upstreams: { "docker.io": { maxAge: "24h" } } });
});

test("a doubled dollar sign of Compose's is one", () => {
  const { value } = imported(
    service(
      "hub",
      `environment: { ${HUB}, REGISTRY_PROXY_USERNAME: u, REGISTRY_PROXY_PASSWORD: 'a$$b$$1' }`,
    ),
  );
  const auth = { username: "u", password: "a$b$1" };
  expect(value).toEqual({ upstreams: { "docker.io": { auth } } });
});

test("a volume has its project's name before its own", () => {
  const folderOf = (more: string): string | undefined =>
    imported(
      `${service("hub", `environment: { ${HUB} }, volumes: ['d:/var/lib/registry']`)}${more}`,
    ).adoptable[0]?.folder;
  expect(folderOf("")).toContain("'{{.Mountpoint}}' caches_d)");
  expect(folderOf("name: mine\n")).toContain("'{{.Mountpoint}}' mine_d)");
  expect(folderOf("volumes: { d: { name: other } }\n")).toContain("'{{.Mountpoint}}' other)");
  expect(folderOf("volumes: { d: { external: true } }\n")).toContain("'{{.Mountpoint}}' d)");
});

const RESOLVED = "import what `docker compose config` prints";
test.each([
  [service("hub", `environment: { ${HUB} }, env_file: a.env`), RESOLVED],
  [service("hub", `environment: { ${HUB} }, extends: { service: a }`), RESOLVED],
  [`services: { hub: { extends: a, environment: { ${HUB} } } }\n`, RESOLVED],
  [`services: { hub: { image: 'registry:\${TAG:-2}', environment: { ${HUB} } } }\n`, RESOLVED],
  [service("hub", `environment: [REGISTRY_PROXY_PASSWORD]`), "has its value from outside"],
  [service("hub", `environment: { REGISTRY_PROXY_PASSWORD: }`), "has its value from outside"],
  ["docker run -e REGISTRY_PROXY_PASSWORD registry:2\n", "has its value from outside"],
  ["docker run --env-file a.env registry:2\n", "write its variables out as -e NAME=VALUE"],
])("what a container has from elsewhere is not passed over in silence (%#)", (text, message) => {
  expect(refusal(() => imported(text))).toContain(message);
});

test("flags of docker run may be joined, and runs may share a line", () => {
  const run = (url: string, flags: string): string =>
    `docker run ${flags} -e REGISTRY_PROXY_REMOTEURL=${url} registry:2`;
  const { value, adoptable } = imported(
    `${run("https://registry-1.docker.io", "-dp 5000:5000")}; ${run("https://quay.io", "-d --mount type=bind,src=/srv/q,dst=/var/lib/registry -ditp 5010:5000")}\n`,
  );
  expect(value).toEqual({
    listen: "0.0.0.0:5000",
    upstreams: { "docker.io": {}, "quay.io": { port: 5010 } },
  });
  expect(adoptable).toContainEqual({ upstream: "quay.io", folder: "/srv/q" });
});

test("a folder's name is one word to a shell, and stays in its line", () => {
  const volumes = JSON.stringify(["/srv/my data;touch x\nlisten:/var/lib/registry"]);
  const draft = imported(service("hub", `environment: { ${HUB} }, volumes: ${volumes}`));
  const text = writeConfig(draft, "entrepot import f");
  expect(text).toContain("adopt '/srv/my data;touch x listen' --upstream");
  expect(text).not.toMatch(/^listen/m);
});

test("a port without a published one is a port that nobody has to keep", () => {
  const { value } = imported(service("hub", `environment: { ${HUB} }, ports: [{ target: 5000 }]`));
  expect(value).toEqual({ upstreams: { "docker.io": {} } });
});

test("what somebody else wrote stays in its comment", () => {
  const proxy = `proxy: { remoteurl: "https://a.io" }`;
  const draft = imported(`version: 0.1\n${proxy}\n"foo\\nadmin: 0.0.0.0:1": x\n`);
  expect(writeConfig(draft, "entrepot import f")).not.toMatch(/^admin/m);
});

test("no folder of the host's is adopted that the registry does not keep its data in", () => {
  expect(imported(service("hub", `environment: { ${HUB} }`)).adoptable).toEqual([]);
  const bucket = `version: 0.1\nstorage: { s3: { bucket: b } }\nproxy: { remoteurl: "https://a.io" }\n`;
  expect(imported(bucket).adoptable).toEqual([]);
});

test("one registry under two of its names is one upstream", () => {
  const text = `apiVersion: registry.extensions.gardener.cloud/v1alpha3\nkind: RegistryConfig\ncaches: [{ upstream: docker.io }, { upstream: index.docker.io }]\n`;
  expect(refusal(() => imported(text))).toContain("index.docker.io is cached already");
});

test("a folder that only the shell knows is no volume of Docker's", () => {
  const folders = (host: string): string[] =>
    imported(
      `docker run -v ${host}:/var/lib/registry -e REGISTRY_PROXY_REMOTEURL=https://a.io registry:2\n`,
    ).adoptable.map(({ folder }) => folder);
  for (const host of ["$PWD/d", "${PWD}/d", '"$(pwd)/d"']) {
    expect(folders(host)).toEqual(["/in/caches/d"]);
  }
  for (const host of ["~/d", "$DATA"]) expect(folders(host)).toEqual([]);
});

const secure = (name: string, port: number, host: string, more = ""): string =>
  `docker run -p ${port}:5000 -v ${host}:/certs:ro -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/a.crt -e REGISTRY_HTTP_TLS_KEY=/certs/a.key -e REGISTRY_PROXY_REMOTEURL=https://${name} ${more} registry:2\n`;
const plain = "docker run -p 5020:5000 -e REGISTRY_PROXY_REMOTEURL=https://c.io registry:2\n";
const whyLeft = (draft: ImportedConfig): string[] => draft.left.map(({ why }) => why);

test("a certificate is carried over from where it is on this machine", () => {
  const draft = imported(secure("a.io", 5000, "/etc/certs") + secure("b.io", 5010, "$PWD/certs"));
  expect(draft.value["tls"]).toEqual({ certificate: "/etc/certs/a.crt", key: "/etc/certs/a.key" });
  expect(whyLeft(draft)).toEqual([
    "one certificate is shown at all ports, /etc/certs/a.crt: is its name among those?",
  ]);
  const same = imported(secure("a.io", 5000, "./certs") + secure("b.io", 5010, "$PWD/certs"));
  const own = { certificate: "/in/caches/certs/a.crt", key: "/in/caches/certs/a.key" };
  expect([same.value["tls"], same.left]).toEqual([own, []]);
});

test.each([
  [secure("a.io", 5000, "/etc/certs") + plain, "some of these registries are asked over http://"],
  [secure("a.io", 5000, "certs"), "it is inside of the container"],
  [
    secure("a.io", 5000, "/c", "-e REGISTRY_HTTP_TLS_LETSENCRYPT_EMAIL=a@b.c"),
    "no certificate is fetched: name one as tls.certificate and tls.key",
  ],
  [
    secure("a.io", 5000, "/c", "-e REGISTRY_HTTP_TLS_CLIENTCAS=/certs/ca.pem"),
    "clients are not asked for certificates",
  ],
])("what cannot be carried over of TLS is named (%#)", (text, why) => {
  expect(whyLeft(imported(text))).toEqual([expect.stringContaining(why)]);
});

const PROXY = "-e REGISTRY_PROXY_REMOTEURL=https://ghcr.io";

test("a copy of the image is known by what it is told", () => {
  const upstreams = { "ghcr.io": { port: 5010 } };
  const run = `docker run -p 5010:5000 ${PROXY} harbor.corp/hub/registry:2\ndocker run nginx\n`;
  expect(imported(run).value).toMatchObject({ upstreams });
  const copy = (rest: string): string =>
    `services: { r: { image: 'harbor.corp/hub/registry:2', ports: ['5010:5000'], ${rest} } }\n`;
  const told = copy("environment: { REGISTRY_PROXY_REMOTEURL: 'https://ghcr.io' }");
  expect(imported(told).value).toMatchObject({ upstreams });
  expect(refusal(() => imported(copy("env_file: a.env")))).toContain(RESOLVED);
});

test.each([
  [`'REGISTRY_PROXY_PASSWORD=a$b'`, "a$b"],
  [`REGISTRY_PROXY_PASSWORD='a$b'c`, "a$bc"],
  [`"REGISTRY_PROXY_PASSWORD=a\\$b"`, "a$b"],
  [`REGISTRY_PROXY_PASSWORD=a\\$b`, "a$b"],
])("a dollar sign that a shell leaves alone is one: %s", (written, password) => {
  const line = `docker run ${PROXY} -e REGISTRY_PROXY_USERNAME=u -e ${written} registry:2\n`;
  expect(imported(line).value).toEqual({
    upstreams: { "ghcr.io": { auth: { username: "u", password } } },
  });
});

test("a variable in double quotes is still a shell's to complete", () => {
  const line = `docker run ${PROXY} -e "REGISTRY_PROXY_USERNAME=$ME" registry:2\n`;
  expect(refusal(() => imported(line))).toContain("takes its value from a variable");
});

test.each([
  [
    `-p 127.0.0.1:5010:5000 -p 5011:5000`,
    5011,
    "a registry has one port here, and another was taken",
  ],
  [
    `-p 127.0.0.1:5010:5000 -p 10.0.0.5:5011:5000`,
    5011,
    "a registry has one port here, and another was taken",
  ],
  [
    `-p 5010-5011:5000-5001`,
    undefined,
    "no port leads to the registry's own, 5000: if nodes ask at one, give it to the upstream",
  ],
])(
  "of several ports the one that nodes reach is taken, and none is lost silently",
  (ports, port, why) => {
    const { value, left } = imported(`docker run ${ports} ${PROXY} registry:2\n`);
    expect(value).toMatchObject({ upstreams: { "ghcr.io": port === undefined ? {} : { port } } });
    expect(left.map((one) => one.why)).toContain(why);
  },
);

test("a registry that images are pushed to stays as it is beside the others", () => {
  const { value, left } = imported(
    `services:
  hub: { image: "registry:2", ports: ["5000:5000"], environment: { ${HUB}, REGISTRY_PROXY_NEW: x } }
  push: { image: "registry:2", ports: ["5100:5000"] }
`,
  );
  expect(value).toEqual({ listen: "0.0.0.0:5000", upstreams: { "docker.io": {} } });
  expect(left.map(({ from, why }) => `${from.what}: ${why}`)).toEqual([
    "services.hub.environment.REGISTRY_PROXY_NEW: it is not known what it does",
    "services.push: is no pull-through cache, since it has no proxy.remoteurl: it stays as it is",
  ]);
});
