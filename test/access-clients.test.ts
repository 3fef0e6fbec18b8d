import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { documentedRows } from "./harness/documented-rows.ts";
import { textImage } from "./harness/images/images.ts";
import { mustRun } from "./harness/processes.ts";
import { isLong, unpackedTests } from "./harness/real-components.ts";
import {
  type GuardedRegistry,
  startGuardedRegistry,
} from "./harness/registries/guarded-registry.ts";
import { RecordingRelay } from "./harness/registries/recording-relay.ts";
import { PODMAN_5, startPodman } from "./harness/runtimes/podman.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { DOCKER_28, type DockerNode, startDocker } from "./node/docker-node.ts";

const DOCUMENT = "docs/explanation/access-and-runtimes.md";
const ROWS = 15;

const clientTest = await unpackedTests("forky-clients", {
  suite: "forky",
  packages: ["cosign", "oras", "crane"],
});
const dockerTest = await unpackedTests("forky-docker", DOCKER_28);
const longTest = (name: string, run: (tree: string) => Promise<void>) =>
  test.skip(name, () => run(""));
const podmanTest = isLong ? await unpackedTests("trixie-podman", PODMAN_5) : longTest;

interface SetUp extends AsyncDisposable {
  readonly registry: GuardedRegistry;
  /** Before the cache. Images are named by it, and it is the mirror. */
  readonly mirror: RecordingRelay;
}

/** A registry that shows org/public to anybody and org/app to alice alone, and a cache before it. */
async function setUp(): Promise<SetUp> {
  await using stack = new AsyncDisposableStack();
  const registry = stack.use(
    await startGuardedRegistry({
      challenge: "Bearer",
      users: { alice: "of-alice" },
      mayPull: (user, repository) => repository === "org/public" || user === "alice",
    }),
  );
  await registry.push(textImage({ text: "for anybody" }), "org/public", "1");
  await registry.push(textImage({ text: "for alice" }), "org/app", "1");
  const upstream = { ...registry.settings, access: "upstream" };
  const config = { upstreams: { "reg.test": upstream, "docker.io": upstream } };
  const cache = stack.use(await startEntrepot({ config }));
  const mirror = stack.use(new RecordingRelay(cache.url));
  const owned = stack.move();
  return { registry, mirror, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * How a client got the public image and the private one, and what it showed the cache for the content of
 * the latter.
 */
async function measure(
  { registry, mirror }: SetUp,
  who: readonly [client: string, login: string],
  pull: (repository: string) => Promise<unknown>,
): Promise<string[]> {
  const outcomes: string[] = [];
  let shown: string[] = [];
  for (const repository of ["org/public", "org/app"]) {
    registry.take();
    mirror.take();
    const isPulled = await pull(repository).then(
      () => true,
      () => false,
    );
    const asked = registry.take().filter(({ agent }) => !agent.startsWith("entrepot"));
    const way = asked.length > 0 ? "from the registry" : "through the cache";
    outcomes.push(isPulled ? way : "refused");
    const content = mirror.take().filter(({ path }) => /\/(?:manifests|blobs)\//.test(path));
    shown = [...new Set(content.map(({ credentials }) => credentials))];
  }
  const names = { Bearer: "a token", "Basic of nobody": "nothing", none: "nothing" };
  const words = shown.map(
    (one) => Object.entries(names).find(([name]) => name === one)?.[1] ?? one,
  );
  return [...who, ...outcomes, [...new Set(words)].join(", then ") || "not asked"];
}

/** Compares rows with those of the document about the same clients. */
function expectDocumented(rows: readonly string[][]): void {
  if (process.env["ENTREPOT_GOLDEN"] === "write")
    console.log(rows.map((row) => `| ${row.join(" | ")} |`).join("\n"));
  const clients = new Set(rows.map(([client]) => client));
  expect(rows).toEqual(documentedRows(DOCUMENT, 5).filter(([client]) => clients.has(client)));
}

test("the document has a row for each client", () => {
  expect(documentedRows(DOCUMENT, 5)).toHaveLength(ROWS);
});

clientTest(
  "skopeo, crane and oras pull with a login at the cache what it opens to them",
  async (tree) => {
    await using at = await setUp();
    await using dir = await tempDir("clients");
    const { address } = at.mirror;
    const logins = {
      none: "{}",
      "at the cache": JSON.stringify({ auths: { [address]: { auth: btoa("alice:of-alice") } } }),
    };
    const rows: string[][] = [];
    const commands: Record<string, (image: string) => string[]> = {
      skopeo: (image) => ["skopeo", "inspect", "--raw", "--tls-verify=false", `docker://${image}`],
      crane: (image) => [join(tree, "usr/bin/crane"), "--insecure", "validate", "--remote", image],
      oras: (image) => [join(tree, "usr/bin/oras"), "manifest", "fetch", "--plain-http", image],
    };
    for (const [client, command] of Object.entries(commands)) {
      for (const [login, text] of Object.entries(logins)) {
        const home = dir.file(`${client}-${login.length}`);
        await mkdir(join(home, ".docker"), { recursive: true });
        const file = join(home, ".docker/config.json");
        await writeFile(file, text);
        const env = { HOME: home, REGISTRY_AUTH_FILE: file };
        const pull = (repository: string) =>
          mustRun(command(`${address}/reg.test/${repository}:1`), { env });
        rows.push(await measure(at, [client, login], pull));
      }
    }
    expectDocumented(rows);
  },
);

/** Pulls an image with credentials, as the command line of Docker has it done. */
async function dockerPull(docker: DockerNode, image: string, server?: string): Promise<void> {
  const login = { username: "alice", password: "of-alice", serveraddress: server };
  const text = Buffer.from(JSON.stringify(login)).toString("base64");
  const query = new URLSearchParams({ fromImage: image, tag: "1" });
  const response = await fetch(`http://docker/images/create?${query}`, {
    method: "POST",
    unix: docker.engine.socket,
    // With padding: dockerd takes what it cannot decode for no credentials.
    headers:
      server === undefined
        ? {}
        : { "X-Registry-Auth": text.replaceAll("+", "-").replaceAll("/", "_") },
  });
  const progress = await response.text();
  if (!response.ok || progress.includes('"error"')) throw new Error(progress);
  await docker.engine.remove(`${image}:1`);
}

for (const [store, hasContainerdStore] of [
  ["classic store", false],
  ["containerd store", true],
] as const) {
  const storeTest = hasContainerdStore && !isLong ? longTest : dockerTest;
  storeTest(
    `Docker's ${store} pulls with a login at the cache what it opens to it`,
    async (tree) => {
      await using at = await setUp();
      const settings = {
        "registry-mirrors": [at.mirror.url],
        "storage-driver": hasContainerdStore ? "native" : "vfs",
        features: { "containerd-snapshotter": hasContainerdStore },
      };
      await using docker = await startDocker(tree, {
        "docker/daemon.json": JSON.stringify(settings),
      });
      const { address } = at.mirror;
      const hub = "https://index.docker.io/v1/";
      const client = `Docker, ${store}`;
      const own = (server?: string) => (repository: string) =>
        dockerPull(docker, `${address}/reg.test/${repository}`, server);
      const mirrored = (server?: string) => (repository: string) =>
        dockerPull(docker, `docker.io/${repository}`, server);
      expectDocumented([
        await measure(at, [`${client}, by the cache's name`, "none"], own()),
        await measure(at, [`${client}, by the cache's name`, "at the cache"], own(address)),
        await measure(at, [`${client}, as a mirror of Docker Hub`, "at Docker Hub"], mirrored(hub)),
      ]);
    },
  );
}

podmanTest("Podman gives a mirror the login at the mirror, and no other", async (tree) => {
  await using at = await setUp();
  const { registry, mirror } = at;
  const mirrors = { "reg.test": `${mirror.address}/reg.test` };
  await using podman = await startPodman(tree, mirrors, { "reg.test": registry.address });
  const pull = async (repository: string): Promise<void> => {
    await podman.run("pull", "--tls-verify=false", `reg.test/${repository}:1`);
    await podman.run("rmi", "--all", "--force");
  };
  const login = (server: string) =>
    podman.run("login", "--tls-verify=false", "-u", "alice", "-p", "of-alice", server);
  const client = "Podman, by a mirror";
  const rows = [await measure(at, [client, "none"], pull)];
  await login(registry.address);
  rows.push(await measure(at, [client, "at the registry"], pull));
  await login(mirror.address);
  rows.push(await measure(at, [client, "at the cache, too"], pull));
  expectDocumented(rows);
});
