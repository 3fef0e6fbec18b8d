import { expect, test } from "bun:test";
import { importTable } from "../configtest/import-table.ts";
import { configErrorOf } from "../configtest/load-text.ts";

const IMAGE = "Image=registry:2\n";
const GHCR = "Environment=REGISTRY_PROXY_REMOTEURL=https://ghcr.io\n";

/** Imports a `.container` unit with these lines, beside other files. */
function importUnit(lines: string, others: Record<string, string> = {}, name = "a.container") {
  const file = `/in/${name}`;
  return importTable({ [file]: `[Container]\n${IMAGE}${lines}`, ...others }, [file]);
}

test.each<[lines: string, others: Record<string, string>, message: string]>([
  [
    `${GHCR}Secret=hub,type=env,target=REGISTRY_PROXY_PASSWORD\n`,
    {},
    "/in/a.container:4:1: Secret=hub: takes its value from a variable: write the value out (Podman's secret hub is not known)",
  ],
  [
    `${GHCR}Volume=data.volume:/var/lib/registry\n`,
    {},
    "/in/a.container:4:1: Volume=: /in/data.volume does not exist: import it too",
  ],
  [
    `${GHCR}Pod=caches.pod\n`,
    {},
    "/in/a.container:4:1: Pod=: /in/caches.pod does not exist: import it too",
  ],
  [
    "EnvironmentFile=a.env\n",
    {},
    "/in/a.container:3:1: EnvironmentFile=: /in/a.env does not exist",
  ],
  [
    String.raw`Environment=REGISTRY_PROXY_REMOTEURL=https://ghcr.io\q`,
    {},
    String.raw`/in/a.container:3:1: Environment=: has \q, which is no escape of systemd`,
  ],
  [
    `${GHCR}PublishPort=%m:5000\n`,
    {},
    "/in/a.container:4:1: PublishPort=: its port depends on %m, whose value is not known: write it out",
  ],
  [
    "Environment=REGISTRY_PROXY_REMOTEURL=https://%H\n",
    {},
    "/in/a.container:3:1: Environment=REGISTRY_PROXY_REMOTEURL: takes its value from a variable: write the value out (%H is not known)",
  ],
  [
    "Environment=REGISTRY_PROXY_REMOTEURL\n",
    {},
    "/in/a.container:3:1: Environment=REGISTRY_PROXY_REMOTEURL: takes its value from the environment: write NAME=VALUE",
  ],
  [
    GHCR,
    { "/in/a.container.d/x.conf": "Image=nginx\n" },
    "/in/a.container.d/x.conf:1:1: is not in a [Section]",
  ],
])("what only the old machine knows is an error with its line (%#)", (lines, others, message) => {
  expect(configErrorOf(() => importUnit(lines, others))).toContain(message);
});

test("a template is imported by instance", () => {
  const lines = "Environment=REGISTRY_PROXY_REMOTEURL=https://%i\n";
  expect(configErrorOf(() => importUnit(lines, {}, "hub@.container"))).toBe(
    "/in/hub@.container:2:1: hub@.container: is a template: import a link to it for each instance, /in/hub@NAME.container",
  );
  const { value } = importUnit(lines, {}, "hub@ghcr.io.container");
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": {} });
  const byDefault = importUnit(
    `${lines}[Install]\nDefaultInstance=quay.io\n`,
    {},
    "hub@.container",
  );
  expect(byDefault.value["upstreams"]).toMatchObject({ "quay.io": {} });
});

test("of several drop-ins with one name, the one of the unit itself counts", () => {
  const dropIn = (ttl: string): string => `[Container]\nEnvironment=REGISTRY_PROXY_TTL=${ttl}\n`;
  const { value } = importUnit(
    GHCR,
    {
      "/in/container.d/10.conf": dropIn("10h"),
      "/in/a-.container.d/10.conf": dropIn("20h"),
      "/in/a-b.container.d/10.conf": dropIn("30h"),
      "/in/container.d/05.conf": dropIn("50h"),
      "/in/container.d/README": "not a drop-in",
    },
    "a-b.container",
  );
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { maxAge: "30h" } });
});

test("a unit without a registry is an error", () => {
  const files = { "/in/a.container": "[Container]\nImage=nginx\n", "/in/b.volume": "[Volume]\n" };
  expect(configErrorOf(() => importTable(files))).toBe(
    "/in/a.container:1:1: no container has the image registry:2 or registry:3",
  );
});

test("arguments of Podman count like keys", () => {
  const { value, unsupported } = importUnit(
    `${GHCR}PodmanArgs=--publish 5010:5000 --env "REGISTRY_PROXY_TTL=24h" --memory=1g --name x\n`,
  );
  expect(value["upstreams"]).toMatchObject({
    "ghcr.io": { listen: "0.0.0.0:5010", maxAge: "24h" },
  });
  expect(unsupported).toEqual([]);
});

test("a .kube unit leads to its manifests", () => {
  const files = {
    "/in/a.kube": "[Kube]\nYaml=pod.yaml\nConfigMap=map.yaml\nPublishPort=5010:5000\n",
    "/in/pod.yaml":
      "kind: Pod\nspec: { containers: [{ image: 'registry:2', envFrom: [{ configMapRef: { name: m } }] }] }\n",
    "/in/map.yaml": `kind: ConfigMap\nmetadata: { name: m }\ndata: { REGISTRY_PROXY_REMOTEURL: "https://ghcr.io" }\n`,
  };
  const { value } = importTable(files, ["/in/a.kube"]);
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { listen: "0.0.0.0:5010" } });
});

test("odd names stay data", () => {
  const password = "$(id)`id`;\"'\\\n\u0007";
  const written = password
    .replaceAll(/[\\"]/g, (character) => `\\${character}`)
    .replaceAll("\n", String.raw`\n`)
    .replaceAll("\u0007", String.raw`\a`);
  const { value } = importUnit(
    `${GHCR}Environment=REGISTRY_PROXY_USERNAME=u "REGISTRY_PROXY_PASSWORD='${written.replaceAll("'", "''")}'"\n`,
  );
  // The registry reads the value as YAML, in which a line break in quotes is a space.
  const auth = { username: "u", password: password.replace("\n", " ") };
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { auth } });
});
