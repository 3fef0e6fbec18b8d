import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import path from "node:path";
import { loadSettings } from "../src/config/load.ts";
import { mustRun } from "./harness/processes.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import { DOCKER_COMPOSE } from "./node/compose-node.ts";

const DEPLOY = path.join(path.dirname(import.meta.dir), "deploy");

function serviceOf(file: string): Readonly<Record<string, unknown>> {
  const text = readFileSync(path.join(DEPLOY, file), "utf8");
  // Whatever else is in these files, they have a service of this name, or the test fails.
  const { services } = Bun.YAML.parse(text) as {
    services: { entrepot: Readonly<Record<string, unknown>> };
  };
  return services.entrepot;
}

test("each replica of the Compose file runs as a single cache does, without a port of its own", () => {
  const { volumes: _volumes, ports: _ports, ...alone } = serviceOf("compose.yaml");
  expect(serviceOf("compose-cluster.yaml")).toMatchObject(alone);
});

test("the configuration of its replicas is valid, and has them find each other", () => {
  const secrets: Readonly<Record<string, string>> = {
    "/run/secrets/cluster": "0123456789abcdef",
    "/run/secrets/access-key": "access",
    "/run/secrets/secret-key": "secret",
    "/run/secrets/postgres-url": "postgres://entrepot:secret@postgres/entrepot\n",
  };
  const { cluster } = loadSettings({
    flags: { config: path.join(DEPLOY, "cluster/entrepot.yaml") },
    env: {},
    readFile: (file) => secrets[file] ?? readFileSync(file, "utf8"),
  });
  expect(cluster?.database?.host).toBe("postgres");
  expect(cluster?.store?.url.href).toBe("http://store:7070/entrepot");
  expect(cluster?.store?.maxSize).toBe(50 * 2 ** 30);
  expect(cluster?.members).toEqual([]);
});

const composeTest = isLong ? await unpackedTests("forky-compose", DOCKER_COMPOSE) : test.skip;

composeTest("Docker Compose understands it", async (tree) => {
  const compose = `${tree}/usr/libexec/docker/cli-plugins/docker-compose`;
  const file = path.join(DEPLOY, "compose-cluster.yaml");
  const stdout = await mustRun([compose, "-f", file, "config", "--services"]);
  expect(stdout.trim().split("\n").toSorted()).toEqual([
    "balancer",
    "entrepot",
    "postgres",
    "prepare",
    "store",
  ]);
});
