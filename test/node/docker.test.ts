import { afterAll, beforeAll, describe, expect } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { real, unpackedTests } from "../harness/real-components.ts";
import {
  type ScriptedUpstream,
  startScriptedUpstream,
} from "../harness/registries/scripted-upstream.ts";
import { until } from "../harness/waiting.ts";
import { startProcess } from "../harness/processes.ts";
import { DOCKER_28, type DockerNode, startDocker } from "./docker-node.ts";
import { PROGRAM } from "./program.ts";

const dockerTest = await unpackedTests("forky-docker", DOCKER_28);
const MAIN = "docker/daemon.json";
const image = "docker.io/org/hello:1";
const ownFile = `{
    "log-driver":   "json-file",
\t"registry-mirrors": [ "https://former.test" ],
    "storage-driver": "vfs"   }
`;

let upstream: ScriptedUpstream;
let cache: Entrepot;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  const upstreams = {
    "docker.io": localUpstream(upstream.url),
    "reg.test": localUpstream(upstream.url),
  };
  cache = stack.use(await startEntrepot({ config: { upstreams } }));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

describe("the classic image store", () => {
  dockerTest(
    "daemon.json is changed as little as possible, reloaded, and restored",
    async (tree) => {
      await using docker = await startDocker(tree, { [MAIN]: ownFile });
      const before = docker.tree("/etc/docker");
      const wire = ["--runtime", "docker", "--cache", cache.url, "--probe", image];

      const plan = await docker.entrepot("plan", ...wire.slice(0, -2), "--json");
      expect(JSON.parse(plan.text)).toMatchObject({
        runtime: "docker",
        restart: null,
        wired: ["docker.io"],
        notes: [expect.stringContaining("reg.test")],
      });
      expect(docker.tree("/etc/docker")).toEqual(before);

      // A proof that fails takes everything back, also what dockerd had loaded.
      const failing = [...wire.slice(0, -1), "docker.io/org/none:1"];
      const failed = await docker.entrepot("apply", ...failing);
      expect(failed).toMatchObject({ code: 1, text: expect.stringContaining("were reverted") });
      expect(docker.tree("/etc/docker")).toEqual(before);
      expect((await docker.info()).mirrors).toEqual(["https://former.test"]);

      const applied = await docker.entrepot("apply", ...wire);
      expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
      expect(docker.read("/etc/docker/daemon.json")).toBe(
        ownFile.replace(`[ "https`, `[ "${cache.url}", "https`),
      );
      expect((await docker.info()).mirrors).toEqual([cache.url, "https://former.test"]);
      const again = await docker.entrepot("apply", ...wire);
      expect(again).toMatchObject({ code: 0, text: expect.stringContaining("Nothing to change") });
      const verified = await docker.entrepot("verify", "--runtime", "docker", "--probe", image);
      expect(verified).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
      // An image that the probe brought is gone again.
      expect(await docker.engine.images()).toEqual([]);

      const back = await docker.entrepot("rollback", "--runtime", "docker");
      expect(back).toMatchObject({ code: 0, text: expect.stringContaining("byte for byte") });
      expect(docker.tree("/etc/docker")).toEqual(before);
      expect((await docker.info()).mirrors).toEqual(["https://former.test"]);
    },
  );

  dockerTest(
    "a daemon.json that was not there is gone again, and so is what it had loaded",
    async (tree) => {
      await using docker = await startDocker(tree, {}, ["--storage-driver=vfs"]);
      const applied = await docker.entrepot("apply", "--cache", cache.url, "--probe", image);
      expect(applied).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
      expect((await docker.info()).mirrors).toEqual([cache.url]);
      // An image that the node has stays as it is when it is the proof.
      await docker.engine.pull(image, 30_000);
      const images = await docker.engine.images();
      expect(images).toHaveLength(1);
      const verified = await docker.entrepot("verify", "--probe", "org/hello:1");
      expect(verified).toMatchObject({ code: 0, text: expect.stringContaining("proven") });
      expect(await docker.engine.images()).toEqual(images);
      expect(await docker.entrepot("rollback")).toMatchObject({ code: 0 });
      expect(docker.tree("/etc/docker")).toEqual({});
      // dockerd keeps the mirrors that it has loaded if their key is gone: an empty list came before.
      expect((await docker.info()).mirrors).toEqual([]);

      // A file that had the cache before has it after a rollback too.
      docker.write("/etc/docker/daemon.json", `{"registry-mirrors": ["${cache.url}"]}`);
      const present = docker.tree("/etc/docker");
      const wire = ["--cache", cache.url, "--probe", image];
      expect(await docker.entrepot("apply", ...wire)).toMatchObject({ code: 0 });
      expect(await docker.entrepot("rollback")).toMatchObject({ code: 0 });
      expect(docker.tree("/etc/docker")).toEqual(present);
    },
  );

  dockerTest(
    "what Docker cannot load, or is told by its command line, stops the plan",
    async (tree) => {
      await using docker = await startDocker(tree, {}, [
        "--storage-driver=vfs",
        "--registry-mirror=https://former.test",
      ]);
      const wire = ["--runtime", "docker", "--cache", cache.url];
      const absent = await docker.entrepot("apply", "--runtime", "k3s", "--cache", cache.url);
      expect(absent).toMatchObject({ code: 1, text: expect.stringContaining("no k3s was found") });
      const flag = await docker.entrepot("plan", ...wire);
      expect(flag).toMatchObject({ code: 1, text: expect.stringContaining("--registry-mirror") });
      docker.write("/etc/docker/daemon.json", `{"registry-mirrors": ["https://a.test"],}`);
      for (const verb of ["plan", "apply"]) {
        const broken = await docker.entrepot(verb, ...wire);
        expect(broken).toMatchObject({ code: 1, text: expect.stringContaining("daemon.json:1:") });
      }
      docker.write("/etc/docker/daemon.json", `{"registry-mirrors": "https://a.test"}`);
      const check = await docker.entrepot("check", "--runtime", "docker", "--json");
      expect(JSON.parse(check.text)).toMatchObject({
        runtime: "docker",
        findings: [{ code: "flag-conflict" }],
      });
    },
  );

  dockerTest("a watcher takes the cache out of Docker's mirrors while it fails", async (tree) => {
    await using own = await startEntrepot({
      config: { upstreams: { "docker.io": localUpstream(upstream.url) } },
    });
    await using docker = await startDocker(tree, { [MAIN]: ownFile });
    const applied = await docker.entrepot("apply", "--cache", own.url, "--probe", image);
    expect(applied).toMatchObject({ code: 0 });
    const args = ["node", "watch", "--grace", "500ms", "--interval", "100ms"];
    await using watcher = await startProcess({
      name: "entrepot node watch",
      command: [...docker.enter, PROGRAM, ...args],
      ready: (started) => started.output().includes("watching"),
    });
    const { listen, data } = { listen: own.address, data: own.data };
    await own.stop();
    await mirrorsAre(docker, ["https://former.test"]);
    expect(watcher.output()).toContain("removed");
    stack.use(
      await startEntrepot({
        config: { upstreams: { "docker.io": localUpstream(upstream.url) } },
        listen,
        data,
      }),
    );
    await mirrorsAre(docker, [own.url, "https://former.test"]);
  });
});

describe("the containerd image store", () => {
  dockerTest("every registry gets a hosts.toml, and daemon.json stays as it is", async (tree) => {
    const daemonJson = `{"features":{"containerd-snapshotter":true},"storage-driver":"native","registry-mirrors":["${upstream.url}"]}`;
    await using docker = await startDocker(tree, { [MAIN]: daemonJson });
    const before = docker.tree("/etc/docker");
    const probes = [image, "reg.test/org/hello:1"];
    const applied = await docker.entrepot("apply", "--cache", cache.url, "--probe", ...probes);
    expect(applied).toMatchObject({ code: 0 });
    expect(applied.text.match(/: proven /g)).toHaveLength(2);
    // The mirror that no longer applies beside a hosts.toml moved there.
    const hosts = docker.read("/etc/docker/certs.d/docker.io/hosts.toml") ?? "";
    expect(hosts.indexOf(cache.url)).toBeLessThan(hosts.indexOf(upstream.url));
    expect(docker.read("/etc/docker/daemon.json")).toBe(daemonJson);
    const check = await docker.entrepot("check", "--json");
    expect(JSON.parse(check.text)).toMatchObject({
      runtimes: [{ runtime: "docker", wired: { namespaces: ["docker.io", "reg.test"] } }],
    });
    expect(check.code).toBe(0);
    const verified = await docker.entrepot("verify", "--probe", ...probes);
    expect(verified).toMatchObject({ code: 0 });
    expect(await docker.entrepot("rollback")).toMatchObject({ code: 0 });
    expect(docker.tree("/etc/docker")).toEqual(before);
  });
});

function mirrorsAre(docker: DockerNode, mirrors: readonly string[]): Promise<unknown> {
  return until(async () => (await docker.info()).mirrors.join() === mirrors.join(), {
    what: `the mirrors to be ${mirrors.join()}`,
    within: 20_000,
  });
}
