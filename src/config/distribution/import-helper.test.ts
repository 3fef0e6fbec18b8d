import { expect, test } from "bun:test";
import { importGiven, importProblems, upstreamsIn } from "../configtest/import-text.ts";

const config = (exec: string, host = "ghcr.io"): string =>
  `version: 0.1\nproxy: { remoteurl: https://${host}, exec: { ${exec} } }\n`;

const upstreamsOf = (text: string): unknown => upstreamsIn(importGiven({ f: text }));

const auth = (helper: object): Record<string, unknown> => ({ "ghcr.io": { auth: { helper } } });

test.each([
  ["command: docker-credential-gcr", { program: "docker-credential-gcr" }],
  ["command: /opt/get, lifetime: 1h30m", { program: "/opt/get", ttl: "90m" }],
  ["command: /opt/get, lifetime: 0", { program: "/opt/get", ttl: 0 }],
])("proxy.exec becomes the helper of the upstream: %s", (exec, helper) => {
  expect(upstreamsOf(config(exec))).toEqual(auth(helper));
});

test("the program for Docker Hub is asked for the host of its token endpoint", () => {
  const text = config("command: x", "registry-1.docker.io");
  const helper = { program: "x", server: "auth.docker.io" };
  expect(upstreamsOf(text)).toEqual({ "docker.io": { auth: { helper } } });
});

test("a program in a container is found on the host, or named", () => {
  const run = (more: string): string =>
    `docker run -e REGISTRY_PROXY_REMOTEURL=https://ghcr.io -e REGISTRY_PROXY_EXEC_COMMAND=/bin/docker-credential-x ${more} registry:3\n`;
  const mounted = run("-v /opt/helper:/bin/docker-credential-x:ro");
  expect(upstreamsOf(mounted)).toEqual(auth({ program: "/opt/helper" }));
  const imported = importGiven({ f: run("") });
  expect(upstreamsIn(imported)).toEqual(auth({ program: "docker-credential-x" }));
  expect(imported.warnings.map(({ message }) => message)).toContain(
    '"/bin/docker-credential-x" is inside the container: install docker-credential-x on this machine, in PATH',
  );
});

test("a lifetime that is no duration is an error", () => {
  expect(importProblems({ f: config("command: x, lifetime: week") })).toContain(
    'proxy.exec.lifetime: "week" is not a valid duration: write 1h',
  );
});
