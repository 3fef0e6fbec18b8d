import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { type Containerd, hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { type DockerRegistry, startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { textImage } from "./harness/images/images.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { type ChildProcess, mustRun, run, startProcess } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { until } from "./harness/waiting.ts";
import { fingerprint } from "./node/fingerprint.ts";
import { isLong } from "./node/supervised.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const REGISTRY = "/usr/bin/docker-registry";
const NAMES = ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io", "reg.kyverno.io"];
const TAGS = isLong ? 12 : 2;

realTest(
  "registries that cron jobs restart are replaced and brought back, while a node pulls",
  async () => {
    await using folder = await tempDir("live");
    await using stack = new AsyncDisposableStack();
    const old = await Promise.all(
      (isLong ? NAMES : NAMES.slice(0, 2)).map(async (name) =>
        stack.use(await OldRegistry.create(name, folder)),
      ),
    );
    const hosts = Object.fromEntries(
      old.map(({ name, upstream, url }) => [
        name,
        hostsToml({ server: upstream.url, hosts: [url] }),
      ]),
    );
    await using containerd = await startContainerd({ hosts });
    await using node = new PullingNode(
      containerd,
      old.map(({ name }) => name),
    );

    await node.pullsAll();
    await using cron = new CronJobs(old);
    await cron.ranEach(isLong ? 5 : 1);
    // Also what garbage collection took away is stored again.
    await node.pullsAll();

    const config = folder.file("entrepot.yaml");
    const names = old.flatMap(({ name, upstream }) => ["--name", `${upstream.address}=${name}`]);
    const files = old.map(({ file }) => file);
    await mustRun([PROGRAM, "import", ...files, ...names, "--output", config]);
    const doctor = await run([PROGRAM, "doctor", "--config", config, "--json"]);
    const { findings }: { findings: Record<string, string>[] } = JSON.parse(doctor.stdout);
    // The cron jobs stop one at a time.
    expect(findings.map(({ found }) => found)).toContainEqual(
      expect.stringContaining("another registry responds, possibly an old registry:2"),
    );

    await cron.remove();
    // A proxy stores in the background what it serves.
    await until(() => old.flatMap((registry) => registry.missing()).length === 0, {
      what: "the old registries to have stored everything",
      detail: () => old.flatMap((registry) => registry.missing()).join("\n"),
    });
    await Promise.all(old.map((registry) => registry.stop()));
    const before = old.map(({ data }) => fingerprint(data));
    // Nothing listens where the node asks first: it pulls from the registries themselves.
    await node.pullsAll();
    const data = folder.file("data");
    await mustRun([PROGRAM, "adopt", "--from", config, "--data", data]);
    expect(old.map((registry) => fingerprint(registry.data))).toEqual(before);
    const imported: { listen: string } = parse(await readFile(config, "utf8"));
    const cache = await startEntrepot({ config: imported, data, listen: imported.listen });
    await node.pullsAll();
    const served = await (await cache.get("/entrepot/v1/served")).text();
    for (const { name } of old) expect(served).toContain(`"namespace":"${name}"`);

    await node.stop();
    await Promise.all(old.map(({ upstream }) => upstream.stop()));
    for (const { name, url } of old) {
      const statuses = await Promise.all(
        tags().map(async (tag) => {
          const response = await fetch(`${url}/v2/library/app/manifests/${tag}`);
          return [response.status, response.headers.get("cache-status")];
        }),
      );
      expect([name, statuses]).toEqual([
        name,
        tags().map(() => [200, expect.stringContaining("hit")]),
      ]);
    }
    await Promise.all(old.map(({ upstream }) => upstream.start()));

    await cache.stop();
    expect(old.map((registry) => fingerprint(registry.data))).toEqual(before);
    await Promise.all(old.map((registry) => registry.start()));
    node.start();
    await node.pullsAll();
    await node.stop();
    expect(node.failures).toEqual([]);
  },
  300_000,
);

function tags(): string[] {
  return Array.from({ length: TAGS }, (_, index) => String(index + 1));
}

/** A registry:2 that is a proxy, and the registry behind it. */
class OldRegistry implements AsyncDisposable {
  readonly #stored: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(
    readonly name: string,
    readonly upstream: DockerRegistry,
    readonly url: string,
    readonly file: string,
    readonly data: string,
    stored: readonly string[],
  ) {
    this.#stored = stored;
  }

  static async create(name: string, folder: TempDir): Promise<OldRegistry> {
    const upstream = await startDockerRegistry();
    const [file, data] = [folder.file(`${name}.yml`), folder.file(`${name}.data`)];
    const stored: string[] = [];
    for (const tag of tags()) {
      const image = textImage({ text: `${name} ${tag}` });
      await push(image, { url: upstream.url, repository: "library/app", tag });
      const root = join(data, "docker/registry/v2");
      stored.push(join(root, `repositories/library/app/_manifests/tags/${tag}/current/link`));
      for (const { digest } of [image.manifest, ...image.blobs]) {
        stored.push(join(root, "blobs/sha256", digest.slice(7, 9), digest.slice(7), "data"));
      }
    }
    const address = `127.0.0.1:${freePort()}`;
    await mkdir(data);
    await writeFile(
      file,
      `version: 0.1
storage: { filesystem: { rootdirectory: ${data} }, delete: { enabled: true } }
http: { addr: "${address}" }
proxy: { remoteurl: "${upstream.url}" }
`,
    );
    const registry = new OldRegistry(name, upstream, `http://${address}`, file, data, stored);
    await registry.start();
    return registry;
  }

  async start(): Promise<void> {
    this.#process = await startProcess({
      name: `registry:2 of ${this.name}`,
      command: [REGISTRY, "serve", this.file],
      ready: async () => (await fetch(`${this.url}/v2/`)).ok,
    });
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }

  /** The files that it does not have yet. */
  missing(): string[] {
    return this.#stored.filter((file) => !existsSync(file));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.upstream[Symbol.asyncDispose]();
  }
}

/** What the crontab of such registries has: a restart for a memory leak, and garbage collection. */
class CronJobs implements AsyncDisposable {
  readonly #ended: Promise<void>;
  #rounds = 0;
  #isRemoved = false;

  constructor(registries: readonly OldRegistry[]) {
    this.#ended = this.#run(registries);
  }

  ranEach(times: number): Promise<unknown> {
    return until(() => this.#rounds >= times, { what: "the cron jobs", within: 60_000 });
  }

  async remove(): Promise<void> {
    this.#isRemoved = true;
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  async #run(registries: readonly OldRegistry[]): Promise<void> {
    while (!this.#isRemoved) {
      for (const registry of registries) {
        // It may fail beside a registry that writes.
        await run([REGISTRY, "garbage-collect", registry.file]);
        await registry.stop();
        await registry.start();
      }
      this.#rounds += 1;
    }
  }
}

/** A node that pulls every image again and again. */
class PullingNode implements AsyncDisposable {
  readonly failures: string[] = [];
  readonly #containerd: Containerd;
  readonly #images: readonly string[];
  #pulls = 0;
  #ended = Promise.resolve();
  #isStopping = false;

  constructor(containerd: Containerd, names: readonly string[]) {
    this.#containerd = containerd;
    this.#images = names.flatMap((name) => tags().map((tag) => `${name}/library/app:${tag}`));
    this.start();
  }

  start(): void {
    this.#isStopping = false;
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#ended;
  }

  /** Waits until every image was pulled anew. */
  async pullsAll(): Promise<void> {
    // The first of them may have begun before.
    const wanted = this.#pulls + this.#images.length + 1;
    await until(() => this.#pulls >= wanted, { what: "the node's pulls", within: 60_000 });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #run(): Promise<void> {
    const { cri } = this.#containerd;
    while (!this.#isStopping) {
      const image = this.#images[this.#pulls % this.#images.length] ?? "";
      try {
        await cri.pullImage(image);
        await cri.removeImage(image);
      } catch (error) {
        this.failures.push(String(error));
      }
      this.#pulls += 1;
    }
  }
}
