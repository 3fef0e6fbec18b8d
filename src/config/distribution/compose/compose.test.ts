import { expect, test } from "bun:test";
import { homedir } from "node:os";
import {
  type GivenFiles,
  importGiven,
  importProblems,
  upstreamsIn,
} from "../../configtest/import-text.ts";

const URL = "REGISTRY_PROXY_REMOTEURL";
const CONFIG = "version: 0.1\nproxy: { remoteurl: https://quay.io }\n";

/** A Compose file with one service. */
const hub = (rest: string, image = "registry:2"): string =>
  `services: { hub: { image: '${image}', ${rest} } }\n`;

/** The upstreams that files make; the first one is imported. */
const upstreamsOf = (files: GivenFiles, names?: readonly string[]): unknown =>
  upstreamsIn(importGiven(files, names));

test("variables of other services do not matter", () => {
  const other = "web: { image: '$WEB', ports: ['$P:80'], env_file: gone.env, volumes: ['$V:/x'] }";
  const text = `services: { ${other}, hub: { image: registry, ports: ['5010:5000'], environment: { ${URL}: 'https://ghcr.io' } } }\n`;
  const imported = importGiven({ f: text });
  const { warnings } = imported;
  expect(upstreamsIn(imported)).toEqual({ "ghcr.io": { port: 5010 } });
  expect(warnings.map(({ consequence, message }) => [consequence, message])).toEqual([
    ["registry", expect.stringContaining("its image $WEB is not known")],
  ]);
});

test.each([
  ["a file", "configs: [c]", "configs: { c: { file: ./conf/config.yml } }", "/c"],
  [
    "a target",
    "configs: [{ source: c, target: /x/y.yml }]",
    "configs: { c: { file: conf/config.yml } }",
    "/x/y.yml",
  ],
  [
    "the default path",
    "configs: [{ source: c, target: /etc/distribution/config.yml }]",
    "configs: { c: { file: conf/config.yml } }",
    undefined,
  ],
  ["a text", "configs: [c]", `configs: { c: { content: ${JSON.stringify(CONFIG)} } }`, "/c"],
  ["a variable", "configs: [c]", "configs: { c: { environment: CONF } }", "/c"],
  ["a secret", "secrets: [c]", "secrets: { c: { file: ~/config.yml } }", "/run/secrets/c"],
  ["a directory", "volumes: ['./conf:/etc/docker/registry:ro']", "", undefined],
  [
    "a long mount",
    "volumes: [{ type: bind, source: conf, target: /etc/distribution/ }]",
    "",
    undefined,
  ],
  [
    "a bind volume",
    "volumes: ['c:/etc/distribution']",
    "volumes: { c: { driver_opts: { type: none, o: bind, device: $PWD/conf } } }",
    undefined,
  ],
])("a configuration in %s is found", (_, rest, top, command) => {
  const serve = command === undefined ? "" : `, command: [serve, ${command}]`;
  const files = {
    "compose.yaml": `${hub(`${rest}${serve}`)}${top}\n`,
    "conf/config.yml": CONFIG,
    [`${homedir()}/config.yml`]: CONFIG,
    ".env": `CONF="${CONFIG.replaceAll("\n", "\\n")}"\n`,
  };
  expect(upstreamsOf(files)).toEqual({ "quay.io": {} });
});

test.each([
  ["command: serve /c/config.yml"],
  ["command: /c/config.yml"],
  [`entrypoint: ["registry", "serve"], command: ["/c/config.yml"]`],
  [`entrypoint: registry serve '/c/config.yml'`],
  ["entrypoint: [sh, -c, 'update-ca-certificates && /entrypoint.sh /c/config.yml']"],
  ["command: [serve], environment: { REGISTRY_CONFIGURATION_PATH: /c/config.yml }"],
])("the file that %s names is read", (rest) => {
  const text = hub(`${rest}, volumes: ['./conf:/c'], ports: ['5020:5000']`);
  expect(upstreamsOf({ f: text, "conf/config.yml": CONFIG })).toEqual({
    "quay.io": { port: 5020 },
  });
});

test.each([
  ["configs: [c], command: serve /c", "configs: { c: { external: true } }", "the config c"],
  ["command: serve /gone.yml", "", "its configuration /gone.yml is inside the image"],
  [
    "command: sh -c 'sed -i s/a/b/ /x.yml; registry serve /x.yml'",
    "",
    "its command is a shell script",
  ],
])("a configuration that cannot be read is an error: %s", (rest, top, message) => {
  expect(importProblems({ f: `${hub(rest)}${top}\n` })).toContain(message);
});

test("env files are read, and the environment overrides them", () => {
  const files = {
    "compose.yaml": hub(
      "env_file: [a.env, { path: gone.env, required: false }], environment: { REGISTRY_PROXY_TTL: 2h }",
      "harbor.corp/hub/registry:2",
    ),
    "a.env": `HOST=ghcr.io\n${URL}="https://\${HOST}"\nREGISTRY_PROXY_TTL=1h\n`,
  };
  const imported = importGiven(files);
  expect(upstreamsIn(imported)).toEqual({ "ghcr.io": { maxAge: "2h" } });
  expect([...imported.furtherFiles].map((file) => file.replace("/in/", ""))).toEqual(["a.env"]);
});

test("a service extends others, of its own and another file, with their paths", () => {
  const files = {
    "compose.yaml": `services:
  base: { image: registry:3, environment: { REGISTRY_PROXY_TTL: 1h }, volumes: ['/old:/var/lib/registry'] }
  ghcr:
    extends: { service: base }
    volumes: ['/new:/var/lib/registry']
    environment: ['${URL}=https://ghcr.io']
  quay: { extends: { service: q, file: more/q.yaml }, ports: ['5020:5000'] }
`,
    "more/q.yaml":
      "services: { q: { image: 'registry:2', volumes: ['./q.yml:/etc/docker/registry/config.yml', '../d:/var/lib/registry'] } }\n",
    "more/q.yml": CONFIG,
  };
  const imported = importGiven(files);
  const { adoptable } = imported;
  expect(upstreamsIn(imported)).toEqual({
    "ghcr.io": { maxAge: "1h", adopt: { folder: "/new" } },
    "quay.io": { port: 5020, adopt: { folder: "/in/d" } },
  });
  expect(adoptable.map(({ data }) => data)).toEqual([{ folder: "/new" }, { folder: "/in/d" }]);
});

test("included files are read, with their own .env and directory", () => {
  const files = {
    "compose.yaml": "include: [sub/one.yaml, { path: two.yaml, project_directory: sub }]\n",
    "sub/one.yaml": hub(`environment: { ${URL}: 'https://$HOST' }, ports: ['$PORT:5000']`),
    "two.yaml":
      "services: { q: { image: registry, volumes: ['./q.yml:/etc/distribution/config.yml'] } }\n",
    "sub/q.yml": CONFIG,
    "sub/.env": "HOST=ghcr.io\nPORT=5010\n",
  };
  expect(upstreamsOf(files)).toEqual({ "ghcr.io": { port: 5010 }, "quay.io": {} });
});

const BASE = `services:
  hub:
    image: registry:2
    command: [serve, /c/old.yml]
    environment: { ${URL}: https://ghcr.io, REGISTRY_PROXY_TTL: 1h }
    ports: ["5000:5000", "6000:6000"]
    volumes: ["/srv/old:/var/lib/registry", "./c:/c"]
`;
const OVERRIDE = `services:
  hub:
    command: [serve, /c/new.yml]
    environment: ["${URL}=https://quay.io"]
    ports: !override ["5020:5000"]
    volumes: ["/srv/new:/var/lib/registry"]
  extra: { image: registry:2, environment: { ${URL}: https://a.io } }
`;
const CONFIGS = { "c/old.yml": CONFIG, "c/new.yml": "version: 0.1\nproxy: { ttl: 3h }\n" };
const MERGED = {
  "quay.io": { port: 5020, maxAge: "1h", adopt: { folder: "/srv/new" } },
  "a.io": {},
};

test.each([
  ["compose.yaml", "compose.override.yaml"],
  ["docker-compose.yml", "docker-compose.override.yml"],
  ["compose.yml", "docker-compose.override.yaml"],
])("%s is overridden by %s beside it", (name, override) => {
  const imported = importGiven({ [name]: BASE, [override]: OVERRIDE, ...CONFIGS });
  expect(upstreamsIn(imported)).toEqual(MERGED);
  expect(imported.adoptable.map(({ data }) => data)).toEqual([{ folder: "/srv/new" }]);
  expect([...imported.furtherFiles]).toContain(`/in/${override}`);
});

test("files of one directory override each other in their order", () => {
  const prod = `services: { hub: { ports: !reset [], environment: !override { ${URL}: 'https://b.io' }, command: !reset null } }\n`;
  const files = {
    "compose.yaml": BASE,
    "compose.prod.yaml": prod,
    "compose.override.yaml": "x: [",
  };
  const names = ["compose.yaml", "compose.prod.yaml"];
  expect(upstreamsOf(files, names)).toEqual({ "b.io": { adopt: { folder: "/srv/old" } } });
  const other = {
    "base.yml": BASE,
    "ports.yml": "services: { hub: { ports: ['5000:5000'] } }\n",
    ...CONFIGS,
  };
  expect(upstreamsOf(other, ["base.yml", "ports.yml"])).toEqual({
    "ghcr.io": { maxAge: "1h", port: 5000, adopt: { folder: "/srv/old" } },
  });
});

test("files with services of the same name are projects of their own", () => {
  const one = (host: string): string => hub(`environment: { ${URL}: 'https://${host}' }`);
  const files = { "a.yaml": one("a.io"), "b.yaml": one("b.io"), "x/a.yaml": one("c.io") };
  expect(upstreamsOf(files, Object.keys(files))).toEqual({ "a.io": {}, "b.io": {}, "c.io": {} });
});

test("an image built from a registry has the files and variables of its Dockerfile", () => {
  const dockerfile = `ARG V=2\nFROM registry:$V AS base\nFROM base\nENV REGISTRY_PROXY_TTL=1h \\\n  A=b\nCOPY --chown=1 config.yml /etc/docker/registry/\n`;
  const build = (value: string): string =>
    `services: { hub: { build: ${value}, ports: ['5020:5000'] } }\n`;
  const files = { "img/config.yml": CONFIG, "img/Dockerfile": dockerfile, "img/f": dockerfile };
  for (const value of ["./img", "{ context: img, dockerfile: f }"]) {
    const found = upstreamsOf({ "compose.yaml": build(value), ...files });
    expect(found).toEqual({ "quay.io": { maxAge: "1h", port: 5020 } });
  }
  const gone = importProblems({
    "compose.yaml": build("img"),
    "img/Dockerfile": "FROM registry:2\nCOPY c.yml /etc/docker/registry/config.yml\n",
  });
  expect(gone).toContain("img/c.yml does not exist");
});

test("an image that may have its settings inside is a warning", () => {
  const other =
    "corp: { image: 'corp/docker-registry:1' }, data: { image: x, volumes: ['d:/var/lib/registry'] }";
  const ui = "ui: { image: 'joxit/docker-registry-ui', environment: { REGISTRY_TITLE: x } }";
  const text = `services: { ${other}, ${ui}, hub: { image: registry, environment: { ${URL}: 'https://ghcr.io' } } }\n`;
  const { warnings } = importGiven({ f: text });
  const missing = warnings.filter(({ consequence }) => consequence === "registry");
  expect(missing.map(({ from }) => from.what)).toEqual(["services.corp", "services.data"]);
});

test("a problem in a text of the file has its line in the file", () => {
  const config = (rest: string): string =>
    `services: { hub: { image: registry, command: serve /c, configs: [c] } }\nconfigs:\n  c:\n    content: |\n      version: 0.1\n      ${rest}\n`;
  expect(importProblems({ f: config("a: b: c") })).toMatch(/^f:6:\d+: configs\.c\.content: /);
  const problems = importProblems({ f: config("proxy: { remoteurl: x }") });
  expect(problems).toMatch(/^f:6:\d+: proxy\.remoteurl: "x" is not a valid/);
});

test.each([
  ["ports: 5000", "ports: is not valid in a Compose file: write a list"],
  ["environment: x", "environment: is not valid in a Compose file: write a list or a mapping"],
  ["command: { a: b }", "command: is not valid in a Compose file: write a text or a list"],
  ["volumes: { a: b }", "volumes: is not valid in a Compose file: write a list"],
])("a value of another kind is an error: %s", (rest, message) => {
  expect(importProblems({ f: hub(rest) })).toContain(`services.hub.${message}`);
});

test("what repeats itself without end is an error", () => {
  const self = "services: { a: { extends: a, image: 'registry:2' } }\n";
  expect(importProblems({ f: self })).toContain("extend each other without end");
  const circle = { "compose.yaml": "include: [compose.yaml]\n" };
  expect(importProblems(circle)).toContain("include each other without end");
});

test("a key that every object has is merged as any other that is not known", () => {
  const base = `base: { image: '$OTHER', constructor: [a], valueOf: { x: a } }`;
  const text = `services: { ${base}, hub: { extends: { service: base }, image: 'registry:2', constructor: [b], valueOf: { x: b }, environment: { ${URL}: 'https://ghcr.io' }, ports: ['5010:5000'] } }\n`;
  expect(upstreamsOf({ f: text })).toMatchObject({ "ghcr.io": { port: 5010 } });
});
