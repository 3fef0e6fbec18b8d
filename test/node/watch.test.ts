import { describe, expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/entrepot.ts";
import { textImage } from "../harness/images.ts";
import { startProcess } from "../harness/processes.ts";
import { realTest } from "../harness/real.ts";
import { startScriptedUpstream } from "../harness/scripted-upstream.ts";
import { failureOf, until } from "../harness/waiting.ts";
import { PROGRAM, entrepotNode, placesOf } from "./program.ts";
import { LINES, type SupervisedNode, baseConfig, isLong, startNode } from "./supervised.ts";

const GRACE_MS = 3_000;
/** After so long a pull counts as one that never ends. */
const HANGS_MS = 6_000;

const hostsOf = (node: SupervisedNode, registry: string): string =>
  join(node.places.certs, registry.replace(/:(\d+)$/, "_$1_"), "hosts.toml");

async function timedPull(node: SupervisedNode, image: string, within?: number): Promise<number> {
  const begun = performance.now();
  await node.pull(image, within);
  const took = performance.now() - begun;
  await node.forget(image);
  return Math.round(took);
}

function startWatch(node: SupervisedNode) {
  const words = ["--grace", `${GRACE_MS}ms`, "--interval", "200ms", ...placesOf(node)];
  return startProcess({
    name: "entrepot node watch",
    command: [PROGRAM, "node", "watch", ...words],
    ready: (started) => started.output().includes("watching"),
  });
}

// What it waits for is the watcher's own: other versions show nothing new, in as long again.
describe.each(isLong ? LINES : (["1.6"] as const))("containerd %s", (line) => {
  realTest(
    "a cache that is gone, hangs, comes back and serves more, under a wired node",
    async () => {
      await using upstream = await startScriptedUpstream();
      await using second = await startScriptedUpstream();
      upstream.add("org/hello", textImage({ text: "hello" }), "1");
      second.add("org/hello", textImage({ text: "second" }), "1");
      const upstreams = { [upstream.address]: localUpstream(upstream.url) };
      await using stack = new AsyncDisposableStack();
      let cache: Entrepot = stack.use(await startEntrepot({ config: { upstreams } }));
      const cri = `plugins."io.containerd.grpc.v1.cri"`;
      // A registry on loopback whose hosts.toml is gone would be tried over TLS first, for 20 s.
      const name = upstream.address.replace(/:(\d+)$/, "_$1_");
      const original = `server = "${upstream.url}"\n[host."${upstream.url}"]\n`;
      await using node = await startNode(line, (places) => ({
        "config.toml": `${baseConfig(places)}  [${cri}.registry]\n    config_path = "${places.certs}"\n`,
        [`certs.d/${name}/hosts.toml`]: original,
      }));
      const image = `${upstream.address}/org/hello:1`;
      const { address, url } = cache;
      const wish = [
        "apply",
        "--cache",
        url,
        "--yes",
        "--adopt",
        "--probe",
        image,
        ...placesOf(node),
      ];
      expect(await entrepotNode(wish)).toMatchObject({ code: 0 });
      const hosts = hostsOf(node, upstream.address);
      const wired = readFileSync(hosts, "utf8");
      const well = await timedPull(node, image);

      // Nobody watches: the connection is refused, and containerd goes on to the registry.
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
      // Up to 2.2 containerd waits for ever on one that accepts and never answers, and pulls nothing.
      cache.signal("SIGSTOP");
      expect(await failureOf(timedPull(node, image, HANGS_MS))).toContain("eadline");
      cache.signal("SIGCONT");
      await using watching = await startWatch(node);
      // With a watcher it is out after the grace.
      cache.signal("SIGSTOP");
      const stopped = performance.now();
      const isOut = (): boolean => readFileSync(hosts, "utf8") === original;
      await until(isOut, { what: "the mirror to be taken out", within: 15_000 });
      const out = Math.round(performance.now() - stopped);
      const takenOut = await timedPull(node, image);
      expect(out).toBeGreaterThanOrEqual(GRACE_MS);
      expect(takenOut).toBeLessThan(3_000);
      cache.signal("SIGCONT");
      await until(() => readFileSync(hosts, "utf8") === wired, {
        what: "the mirror to be back",
      });
      expect(await entrepotNode(["verify", "--probe", image, ...placesOf(node)])).toMatchObject({
        code: 0,
      });
      console.log(
        `containerd ${line}: a pull took ${well} ms through the cache, ${refused} ms with it refusing; ` +
          `with it hanging, none within ${HANGS_MS} ms; watched, it was out after ${out} ms and a pull took ${takenOut} ms`,
      );

      // It serves one more registry than before, and then one less.
      await cache.stop();
      cache = await start({ [second.address]: localUpstream(second.url) });
      const more = hostsOf(node, second.address);
      await until(() => existsSync(more), { what: "the new registry to be wired", within: 15_000 });
      await node.pull(`${second.address}/org/hello:1`);
      const answer = await (await cache.get("/entrepot/v1/served")).text();
      expect(answer).toContain(second.address);
      await node.forget(`${second.address}/org/hello:1`);
      await cache.stop();
      cache = await start();
      await until(() => !existsSync(more), { what: "it to be taken back", within: 15_000 });

      // What somebody else has changed stays as it is, whatever becomes of the cache.
      const theirs = `# mine\n${wired}`;
      writeFileSync(hosts, theirs);
      await cache.stop();
      await until(() => watching.output().includes("was changed by somebody else"), {
        what: "the watcher to tell",
        within: 15_000,
      });
      expect(readFileSync(hosts, "utf8")).toBe(theirs);
      expect(await watching.stop()).toBe(0);
      // At its end it leaves all as it is.
      expect(readFileSync(hosts, "utf8")).toBe(theirs);
    },
    120_000,
  );
});
