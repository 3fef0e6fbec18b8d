import { expect, test } from "bun:test";
import { importTable } from "../configtest/import-table.ts";
import { configErrorOf } from "../configtest/load-text.ts";

const PROXY = "enabled: true, remoteurl: 'https://ghcr.io'";

test.each([
  [
    `proxy: { ${PROXY}, username: me, password: 0123 }\n`,
    "/in/f.yaml:1:79: proxy.password: is a number or a truth value for Helm: put it in quotes",
  ],
  [
    `proxy: { ${PROXY}, secretRef: s }\n`,
    "refers to the Secret s, but no directory of Secrets was given",
  ],
  [
    `proxy: { ${PROXY} }\nconfigData: { http: { addr: "::0:0" } }\n`,
    '/in/f.yaml:2:29: configData.http.addr: "::0:0" is not a valid address',
  ],
  [`proxy: { ${PROXY} }\nextraEnvVars: x\n`, "/in/f.yaml:2:15: extraEnvVars: "],
  ["proxy: { enabled: false, remoteurl: 'https://ghcr.io' }\n", "is not a pull-through cache"],
  [
    "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
    "/in/f.yaml:4:1: is a template, which only Helm can fill in: import the values, or the output of `helm template`",
  ],
  ["kind: HelmChart\nspec:\n  valuesContent: |\n    proxy:\n      enabled: [\n", "/in/f.yaml:6:"],
  [
    `kind: HelmRelease\nspec: { values: { proxy: { ${PROXY} } }, valuesFrom: [{ kind: Secret, name: s }] }\n`,
    "refers to the Secret s",
  ],
])("values that Helm alone knows, or that are not valid, are errors (%#)", (text, message) => {
  expect(configErrorOf(() => importTable({ "/in/f.yaml": text }))).toContain(message);
});

test("a value of several places is that of the last, with its line", () => {
  const { value, settings } = importTable({
    "/in/f.yaml": `kind: Application
spec:
  source:
    chart: docker-registry
    helm:
      values: |
        proxy:
          enabled: true
          remoteurl: https://ghcr.io
        configData:
          http: { addr: ":5000" }
          proxy: { ttl: 1h, remoteurl: https://other.example }
      parameters:
        - { name: configData.proxy.ttl, value: 24h }
`,
  });
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { maxAge: "24h" } });
  const lines = settings.map(({ at, from }) => `${at.join(".")} ${from.file}:${from.line}`);
  expect(lines).toContain("upstreams.ghcr.io /in/f.yaml:9");
  expect(lines).toContain("upstreams.ghcr.io.maxAge /in/f.yaml:14");
});

test("values of other charts are no values of a registry", () => {
  const text = "proxy: { enabled: true, type: NodePort }\nimage: { repository: kong }\n";
  expect(configErrorOf(() => importTable({ "/in/f.yaml": text }))).toContain("unknown format");
});
