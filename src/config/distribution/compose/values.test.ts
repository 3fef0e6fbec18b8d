import { expect, test } from "bun:test";
import {
  type GivenFiles,
  importGiven,
  importProblems,
  upstreamsIn,
} from "../../configtest/import-text.ts";

const URL = "REGISTRY_PROXY_REMOTEURL";

/** A Compose file with one service. */
const hub = (rest: string, image = "registry:2"): string =>
  `services: { hub: { image: '${image}', ${rest} } }\n`;

const upstreamsOf = (files: GivenFiles): unknown => upstreamsIn(importGiven(files));

const auth = (password: string): object => ({
  "ghcr.io": { auth: { username: "u", password } },
});

const withPassword = (written: string): string => `services:
  hub:
    image: registry:2
    environment:
      ${URL}: https://ghcr.io
      REGISTRY_PROXY_USERNAME: u
      ${written}
`;

const NONE = { "ghcr.io": {} };

test.each([
  ["REGISTRY_PROXY_PASSWORD: 12345", "12345"],
  ["REGISTRY_PROXY_PASSWORD: '0123'", "0123"],
  ["REGISTRY_PROXY_PASSWORD: yes", "yes"],
  ["REGISTRY_PROXY_PASSWORD: true\n      REGISTRY_STORAGE_DELETE_ENABLED: false", "true"],
  ["REGISTRY_PROXY_PASSWORD: '1e3'", "1e3"],
  ["REGISTRY_PROXY_PASSWORD: 'a$$b'", "a$b"],
  [`REGISTRY_PROXY_PASSWORD: '"null"'`, "null"],
  ["REGISTRY_PROXY_PASSWORD: ${PASS:-p}", "p"],
  ["REGISTRY_PROXY_PASSWORD: ${PASS:-${OTHER-q}}", "q"],
  ["REGISTRY_PROXY_PASSWORD: x${UNSET:+y}z", "xz"],
  ["REGISTRY_PROXY_PASSWORD: $GIVEN", "from $ .env"],
  ["REGISTRY_PROXY_PASSWORD: '${GIVEN}!'", "from $ .env!"],
  ["REGISTRY_PROXY_PASSWORD: ${EMPTY-x}y", "y"],
  ["REGISTRY_PROXY_PASSWORD: ${EMPTY:-x}y", "xy"],
  ["REGISTRY_PROXY_PASSWORD: ", "by name"],
])("a value is what the registry gets: %s", (written, password) => {
  const env = `# x\nGIVEN='from $ .env'\nEMPTY=\nexport REGISTRY_PROXY_PASSWORD="by name" # y\n`;
  expect(upstreamsOf({ "compose.yaml": withPassword(written), ".env": env })).toEqual(
    auth(password),
  );
});

test.each([
  hub(
    `environment: { ${URL}: 'https://ghcr.io', REGISTRY_PROXY_USERNAME: '', REGISTRY_PROXY_PASSWORD: '' }`,
  ),
  hub(
    `environment: [ '${URL}=https://ghcr.io', REGISTRY_PROXY_USERNAME=, REGISTRY_PROXY_PASSWORD= ]`,
  ),
  hub(
    `environment: [ '${URL}=https://ghcr.io', REGISTRY_PROXY_USERNAME=null, REGISTRY_PROXY_PASSWORD=~ ]`,
  ),
  `version: 0.1\nproxy: { remoteurl: https://ghcr.io, username: , password: }\n`,
  `version: 0.1\nproxy:\n  remoteurl: https://ghcr.io\n  username: ~\n  password: null\n`,
  `version: 0.1\nproxy: { remoteurl: https://ghcr.io, username: "", password: '' }\n`,
  `docker run -e ${URL}=https://ghcr.io -e REGISTRY_PROXY_USERNAME= -e REGISTRY_PROXY_PASSWORD="" registry:2\n`,
])("an empty user and password are none (%#)", (text) => {
  expect(upstreamsOf({ f: text })).toEqual(NONE);
});

test.each(["0123", "1e3", "1.10", "1_000", "yes", "true", "0x1F", "2001-01-01", "+5"])(
  "an unquoted password in config.yml stays as it is written: %s",
  (password) => {
    const proxy = `proxy: { remoteurl: https://ghcr.io, username: u, password: ${password} }`;
    expect(upstreamsOf({ f: `version: 0.1\n${proxy}\n` })).toEqual(auth(password));
  },
);

test.each(["0123", "1e3", "1.10", "1_000", "True", "0x1F", "2001-01-01", "+5"])(
  "a number that Compose writes in another form is an error: %s",
  (password) => {
    const text = withPassword(`REGISTRY_PROXY_PASSWORD: ${password}`);
    expect(importProblems({ f: text })).toContain("put it in quotes");
  },
);

test("a variable is YAML for the registry, and may be a whole section", () => {
  const proxy = "REGISTRY_PROXY={remoteurl: 'https://ghcr.io', username: u, password: p}";
  expect(upstreamsOf({ f: `docker run -e "${proxy}" registry:2\n` })).toEqual(auth("p"));
  const broken = `docker run -e REGISTRY_PROXY_PASSWORD=@secret -e ${URL}=https://a.io registry:2`;
  const problems = importProblems({ f: `${broken}\n` });
  expect(problems).toContain("-e REGISTRY_PROXY_PASSWORD: is not valid YAML");
  expect(problems).not.toContain("secret");
});

test.each([
  [
    "a service without settings",
    hub(`volumes: ['$CONF:/etc/distribution/config.yml']`),
    "is at $CONF",
  ],
  [
    "a port",
    hub(`ports: ['$PORT:5000'], environment: { ${URL}: 'https://a.io' }`),
    "depends on $PORT",
  ],
  ["a password", withPassword("REGISTRY_PROXY_PASSWORD: ${P:?no}"), "(${P:?no} is not known)"],
  [
    "an image",
    "services: { a: { image: '$I', ports: ['5000:5000'] } }\n",
    "its image $I is not known",
  ],
  ["a dollar sign", withPassword("REGISTRY_PROXY_PASSWORD: a$1"), "write the value out"],
])("%s from an unknown variable is an error", (_, text, message) => {
  expect(importProblems({ "compose.yaml": text })).toContain(message);
});
