import { describe, expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { startProcess } from "../harness/processes.ts";
import { realTest } from "../harness/real-components.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { failureOf, until } from "../harness/waiting.ts";
import { PROGRAM, entrepotNode, optionsFor } from "./program.ts";
import { LINES, type SupervisedNode, baseConfig, isLong, startNode } from "./supervised.ts";

const GRACE_MS = 3_000;
/** A pull that takes longer counts as one that hangs. */
const HANGS_MS = 6_000;

const hostsOf = (node: SupervisedNode, registry: string): string =>
  join(node.paths.certs, registry.replace(/:(\d+)$/, "_$1_"), "hosts.toml");

async function timedPull(node: SupervisedNode, image: string, within?: number): Promise<number> {
  const startedAt = performance.now();
  await node.pull(image, within);
  const took = performance.now() - startedAt;
  await node.removeImage(image);
  return Math.round(took);
}

function startWatch(node: SupervisedNode) {
  const args = ["--grace", `${GRACE_MS}ms`, "--interval", "200ms", ...optionsFor(node)];
  return startProcess({
    name: "entrepot node watch",
    command: [PROGRAM, "node", "watch", ...args],
    ready: (started) => started.output().includes("watching"),
  });
}

// The test mostly waits for the watcher: other release lines take as long and show nothing new.
describe.each(isLong ? LINES : (["1.6"] as const))("containerd %s", (line) => {
  realTest(
    "a watcher removes a cache that is down or hangs, adds it again, and follows its list",
    async () => {
      await using upstream = await startScriptedUpstream();
      await using second = await startScriptedUpstream();
      upstream.add("org/hello", textImage({ text: "hello" }), "1");
      second.add("org/hello", textImage({ text: "second" }), "1");
      const upstreams = { [upstream.address]: localUpstream(upstream.url) };
      await using stack = new AsyncDisposableStack();
      let cache: Entrepot = stack.use(await startEntrepot({ config: { upstreams } }));
      const cri = `plugins."io.containerd.grpc.v1.cri"`;
      // Without a hosts.toml, containerd would try a registry on loopback over TLS first, for 20 s.
      const name = upstream.address.replace(/:(\d+)$/, "_$1_");
      const original = `server = "${upstream.url}"\n[host."${upstream.url}"]\n`;
      await using node = await startNode(line, (paths) => ({
        "config.toml": `${baseConfig(paths)}  [${cri}.registry]\n    config_path = "${paths.certs}"\n`,
        [`certs.d/${name}/hosts.toml`]: original,
      }));
      const image = `${upstream.address}/org/hello:1`;
      const { address, url } = cache;
      const apply = [
        "apply",
        "--cache",
        url,
        "--yes",
        "--adopt",
        "--probe",
        image,
        ...optionsFor(node),
      ];
      expect(await entrepotNode(apply)).toMatchObject({ code: 0 });
      const hosts = hostsOf(node, upstream.address);
      const wired = readFileSync(hosts, "utf8");
      const throughCache = await timedPull(node, image);

      // Without a watcher: the connection is refused, and containerd falls back to the registry.
      await cache.stop();
      const refused = await timedPull(node, image);
      expect(refused).toBeLessThan(5_000);

      const start = async (more = {}): Promise<Entrepot> =>
        stack.use(
          await startEntrepot({
            config: { upstreams: { ...upstreams, ...more } },
            listen: address,
            data: node.file("cache-data"),
          }),
        );
      cache = await start();
      // Up to 2.2, containerd waits forever for a cache that accepts and never responds.
      cache.signal("SIGSTOP");
      expect(await failureOf(timedPull(node, image, HANGS_MS))).toContain("eadline");
      cache.signal("SIGCONT");
      await using watching = await startWatch(node);
      // With a watcher, it is removed after the grace period.
      cache.signal("SIGSTOP");
      const stopped = performance.now();
      const isRemoved = (): boolean => readFileSync(hosts, "utf8") === original;
      await until(isRemoved, { what: "the cache to be removed", within: 15_000 });
      const removedAfter = Math.round(performance.now() - stopped);
      const withoutCache = await timedPull(node, image);
      expect(removedAfter).toBeGreaterThanOrEqual(GRACE_MS);
      expect(withoutCache).toBeLessThan(3_000);
      cache.signal("SIGCONT");
      await until(() => readFileSync(hosts, "utf8") === wired, {
        what: "the cache to be added again",
      });
      expect(await entrepotNode(["verify", "--probe", image, ...optionsFor(node)])).toMatchObject({
        code: 0,
      });
      console.log(
        `containerd ${line}: a pull took ${throughCache} ms through the cache, ${refused} ms with it refusing; ` +
          `with it hanging, none within ${HANGS_MS} ms; watched, it was removed after ${removedAfter} ms and a pull took ${withoutCache} ms`,
      );

      // The cache serves one more registry, and then one less.
      await cache.stop();
      cache = await start({ [second.address]: localUpstream(second.url) });
      const more = hostsOf(node, second.address);
      await until(() => existsSync(more), { what: "the new registry to be wired", within: 15_000 });
      await node.pull(`${second.address}/org/hello:1`);
      const served = await (await cache.get("/entrepot/v1/served")).text();
      expect(served).toContain(second.address);
      await node.removeImage(`${second.address}/org/hello:1`);
      await cache.stop();
      cache = await start();
      await until(() => !existsSync(more), { what: "it to be restored", within: 15_000 });

      // A file that was modified since stays as it is, even if the cache fails.
      const foreign = `# foreign\n${wired}`;
      writeFileSync(hosts, foreign);
      await cache.stop();
      await until(() => watching.output().includes("was modified after entrepot wrote it"), {
        what: "the watcher to report it",
        within: 15_000,
      });
      expect(readFileSync(hosts, "utf8")).toBe(foreign);
      expect(await watching.stop()).toBe(0);
      // A watcher that stops changes nothing.
      expect(readFileSync(hosts, "utf8")).toBe(foreign);
    },
    120_000,
  );
});
