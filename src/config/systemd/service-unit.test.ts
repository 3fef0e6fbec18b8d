import { expect, test } from "bun:test";
import { importTable } from "../configtest/import-table.ts";
import { configErrorOf } from "../configtest/load-text.ts";

/** Imports a service with these lines, beside other files. */
function importUnit(lines: string, others: Record<string, string> = {}, name = "/in/a.service") {
  return importTable({ [name]: `[Service]\n${lines}`, ...others }, [name]);
}

const URL = "-e REGISTRY_PROXY_REMOTEURL=https://ghcr.io";
const GHCR = { "ghcr.io": { listen: "0.0.0.0:5010" } };

test.each([
  `ExecStart=-/usr/bin/podman --log-level=info run --rm -p 5010:5000 ${URL} registry:2\n`,
  `ExecStart=!@/usr/bin/docker docker run -p 5010:5000 ${URL} registry:2\n`,
  `ExecStart=/bin/sh -c "exec docker run -p 5010:5000 ${URL} registry:2"\n`,
  `ExecStartPre=/usr/bin/docker create --name a -p 5010:5000 ${URL} registry:2\nExecStart=/usr/bin/docker start -a a\n`,
  `ExecStart=/bin/true\nExecStart=\nExecStart=docker run -p 5010:5000 ${URL} registry:2\n`,
  `Environment=ARGS="-p 5010:5000"\nExecStart=docker run $ARGS ${URL} registry:2\n`,
  `Environment=PORT=5010 "HOST=ghcr.io"\nExecStart=docker run -p \${PORT}:5000 -e REGISTRY_PROXY_REMOTEURL=https://\${HOST} registry:2\n`,
])("a container of a service is imported: %s", (lines) => {
  expect(importUnit(lines).value["upstreams"]).toMatchObject(GHCR);
});

test("an instance of a template has its own values", () => {
  const lines = `ExecStart=docker run -p %i:5000 ${URL} -v /srv/%p-%i:/var/lib/registry registry:2\n`;
  const { value } = importUnit(lines, {}, "/in/cache@5010.service");
  expect(value["upstreams"]).toMatchObject(GHCR);
  expect(configErrorOf(() => importUnit(lines, {}, "/in/cache@.service"))).toContain(
    "its port depends on %i, whose value is not known: write it out",
  );
});

const serve = "ExecStart=/usr/bin/docker-registry serve /etc/docker/registry/config.yml\n";
test.each<[lines: string, others: Record<string, string>, message: string]>([
  [serve, {}, "/in/a.service:2:1: ExecStart=: /etc/docker/registry/config.yml does not exist"],
  [
    "ExecStart=/usr/bin/registry serve\n",
    {},
    "/in/a.service:2:1: ExecStart=: names no configuration: import its config.yml",
  ],
  [
    `ExecStart=docker run ${URL} $OPTIONS registry:2\n`,
    {},
    "/in/a.service:2:1: registry:2: has options in $OPTIONS, whose value is not known: write them out",
  ],
  [
    "EnvironmentFile=/etc/default/a\n" + serve,
    { "/etc/docker/registry/config.yml": "version: 0.1\nproxy: { remoteurl: 'https://a.io' }\n" },
    "/in/a.service:2:1: EnvironmentFile=: /etc/default/a does not exist",
  ],
  ["ExecStart=/usr/bin/docker start -a hub\n", {}, "no command of this unit runs registry:2"],
  ["ExecStart=docker run 'a\n", {}, "/in/a.service:2:1: ExecStart=: has a ' without its end"],
])("what is missing is an error with its line (%#)", (lines, others, message) => {
  expect(configErrorOf(() => importUnit(lines, others))).toContain(message);
});

test("a dollar sign that systemd escapes, and what a shell would run, stay data", () => {
  const line = `ExecStart=docker run ${URL} -e REGISTRY_PROXY_USERNAME=u -e "REGISTRY_PROXY_PASSWORD=a$$b\`id\`$(id)" registry:2\n`;
  const { value } = importUnit(line);
  const auth = { username: "u", password: "a$b`id`$(id)" };
  expect(value["upstreams"]).toMatchObject({ "ghcr.io": { auth } });
});

test("the proxy and the CA file of a registry without a container are carried over", () => {
  const variables = "Environment=HTTPS_PROXY=http://proxy.corp:3128 SSL_CERT_FILE=/etc/corp.pem\n";
  const config = "version: 0.1\nproxy: { remoteurl: https://ghcr.io }\n";
  const { value } = importUnit(variables + serve, { "/etc/docker/registry/config.yml": config });
  expect(value["upstreams"]).toMatchObject({
    "ghcr.io": { proxy: "http://proxy.corp:3128", ca: "/etc/corp.pem" },
  });
});
