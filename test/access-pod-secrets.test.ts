import { expect } from "bun:test";
import { writeFile } from "node:fs/promises";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { realTest } from "./harness/real-components.ts";
import { startGuardedRegistry } from "./harness/registries/guarded-registry.ts";
import { RecordingRelay } from "./harness/registries/recording-relay.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { tempDir } from "./harness/temp-dir.ts";

realTest(
  "pods whose secret is that of a client of the cache pull what its rules let them, beside pods that guess",
  async () => {
    await using stack = new AsyncDisposableStack();
    const dir = stack.use(await tempDir("known"));
    const cost = { algorithm: "bcrypt", cost: 4 } as const;
    const lines = ["alice", "bob"].map(
      async (name) => `${name}:${await Bun.password.hash(`of-${name}`, cost)}\n`,
    );
    await writeFile(dir.file("htpasswd"), (await Promise.all(lines)).join(""));
    // It knows the cache, and none of the pods.
    const registry = stack.use(
      await startGuardedRegistry({ challenge: "Basic", users: { cache: "of-cache" } }),
    );
    const { address } = registry;
    for (const name of ["app", "guessed"]) {
      await registry.push(textImage({ text: name }), `org/${name}`, "1");
    }
    const auth = { username: "cache", password: "of-cache" };
    const cache = stack.use(
      await startEntrepot({
        config: {
          upstreams: { [address]: { ...registry.settings, auth, access: "clients" } },
          clients: {
            htpasswdFile: dir.file("htpasswd"),
            rules: [
              { principals: ["user:alice"], repositories: [`${address}/org/**`], effect: "allow" },
            ],
          },
        },
      }),
    );
    const mirror = stack.use(new RecordingRelay(cache.url));
    const containerd = stack.use(await startContainerd());
    const hosts = hostsToml({ server: registry.url, hosts: [mirror.url] });
    await containerd.writeHosts(`${address.replace(":", "_")}_`, hosts);
    /** The statuses of what the cache was asked, and whether the image came. */
    const pull = async (repository: string, username?: string, password = `of-${username}`) => {
      mirror.take();
      const secret = username === undefined ? {} : { auth: { username, password } };
      const isPulled = await containerd.cri
        .pullImage(`${address}/org/${repository}:1`, secret)
        .then(
          () => true,
          () => false,
        );
      return [isPulled, [...new Set(mirror.take().map(({ status }) => status))]];
    };

    expect(await pull("app")).toEqual([false, [401]]);
    expect(await pull("app", "bob")).toEqual([false, [401, 403]]);
    // A pod that is started again and again has the node guess a lot.
    const guessing = Promise.all(["one", "two"].map((guess) => pull("guessed", "alice", guess)));
    const before = performance.now();
    const [isPulled] = await pull("app", "alice");
    expect(isPulled).toBe(true);
    expect(performance.now() - before).toBeLessThan(10_000);
    for (const [isGuessed] of await guessing) expect(isGuessed).toBe(false);
    // With the cache's own credentials, and none of the pods' was right there.
    const asked = registry.take().filter(({ status }) => status === 200);
    expect(new Set(asked.map(({ credentials }) => credentials))).toEqual(new Set(["Basic cache"]));
  },
  120_000,
);
