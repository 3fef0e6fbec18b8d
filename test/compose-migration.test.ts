import { expect, test } from "bun:test";
import { chownSync, lstatSync, readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtImage } from "./harness/images/built-image.ts";
import { textImage } from "./harness/images/images.ts";
import { writeLayout } from "./harness/images/oci-layout.ts";
import { type ChildProcess, mustRun, startProcess } from "./harness/processes.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import {
  type ComposeNode,
  DOCKER_COMPOSE,
  fileDescriptorLimit,
  GATEWAY,
  startComposeNode,
} from "./node/compose-node.ts";
import { fingerprint } from "./node/fingerprint.ts";
import { isLong } from "./node/supervised.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PROGRAM = join(ROOT, "bin/entrepot");
const USER = 65_532;

interface Registry {
  readonly service: string;
  readonly name: string;
  readonly port: number;
  readonly upstreamPort: number;
}

const REGISTRIES: readonly Registry[] = [
  { service: "hub", name: "docker.io", port: 5000, upstreamPort: 6000 },
  { service: "ghcr", name: "ghcr.io", port: 5010, upstreamPort: 6010 },
];

const OLD_FILE = `services:
  hub:
    image: registry:2
    restart: always
    ports: ["127.0.0.1:5000:5000"]
    environment: { REGISTRY_PROXY_REMOTEURL: "http://${GATEWAY}:6000" }
    volumes: ["hub:/var/lib/registry"]
  ghcr:
    image: registry:2
    ports: ["5010:5000"]
    environment: { REGISTRY_PROXY_REMOTEURL: "http://${GATEWAY}:6010" }
    volumes: ["./ghcr:/var/lib/registry"]
  pushed:
    image: registry:2
    ports: ["127.0.0.1:5090:5000"]
volumes: { hub: }
`;

const composeTest = isLong ? await unpackedTests("forky-compose", DOCKER_COMPOSE) : test.skip;

composeTest(
  "what import --compose writes, and the commands it names, lead from one Compose file to another and back",
  async (tree) => {
    await using folder = await tempDir("compose");
    await using machine = await startComposeNode(tree);
    await machine.importRegistry(folder);
    const archive = await builtImage();
    await machine.docker("load", "--input", archive);
    await using upstreams = new Upstreams(machine, folder);
    await upstreams.start();
    for (const registry of REGISTRIES) await pushImage(machine, folder, registry);

    const caches = folder.file("caches");
    await mkdir(caches);
    await writeFile(join(caches, "compose.yaml"), OLD_FILE);
    const type = async (line: string) => {
      const { code, stdout, stderr } = await machine.type(caches, line);
      if (code !== 0) throw new Error(`${line} ended with ${code}:\n${stdout}${stderr}`);
      return stdout.trim();
    };
    await type("docker compose up --detach");
    for (const registry of REGISTRIES) await pull(machine, folder, registry);
    const pushed = await type("docker compose ps --quiet pushed");
    const volume = await type("docker volume inspect --format '{{.Mountpoint}}' caches_hub");

    const names = REGISTRIES.map(
      ({ name, upstreamPort }) => `--name ${GATEWAY}:${upstreamPort}=${name}`,
    );
    const output = "--output entrepot.yaml --compose entrepot.compose.yaml";
    await type(`${PROGRAM} import compose.yaml ${output} ${names.join(" ")}`);
    const written = join(caches, "entrepot.compose.yaml");
    const text = await readFile(written, "utf8");
    // No process of this machine may have more descriptors than it has.
    const limit = Math.min(65_536, fileDescriptorLimit());
    await writeFile(written, text.replace("nofile: 65536", `nofile: ${limit}`));
    /** The commands in the comments of the file, which people copy. */
    const commands = Array.from(
      text.matchAll(/^# {3}(docker .*)$/gm),
      ([, command = ""]) => command,
    );
    const named = (end: string): string => {
      const found = commands.find((command) => command.endsWith(end));
      return found ?? `no command ends in ${end}`;
    };

    await type("docker compose --file entrepot.compose.yaml --profile adopt config --quiet");
    const doctor = await machine.type(caches, `${named("run --rm entrepot doctor")} --json`);
    const { findings }: { findings: Record<string, string>[] } = JSON.parse(doctor.stdout);
    const ok = findings.filter(({ state }) => state === "ok").map(({ topic }) => topic);
    expect(ok).toEqual(expect.arrayContaining(["/v2/", "disk"]));
    await type(named("stop hub ghcr"));
    // Others than root had these files, and nobody else could read them.
    const data = [volume, join(caches, "ghcr")];
    for (const name of everything(join(caches, "ghcr"))) chownSync(name, 1234, 1234);
    await mustRun(["chmod", "-R", "go-rwx", ...data]);
    const before = data.map(fingerprint);
    expect(await type(named("run --rm adopt"))).toContain("Adopted 3 blobs");
    expect(data.map(fingerprint)).toEqual(before);
    await type(named("up --detach --wait"));
    await upstreams.stop();
    for (const registry of REGISTRIES) await pull(machine, folder, registry);

    expect(await type("docker compose ps --quiet pushed")).toBe(pushed);
    const cache = "docker compose --file entrepot.compose.yaml";
    const container = await type(`${cache} ps --quiet entrepot`);
    const bindings = "docker inspect --format '{{json .HostConfig.PortBindings}}'";
    expect(JSON.parse(await type(`${bindings} ${container}`))).toEqual({
      "5000/tcp": [{ HostIp: "127.0.0.1", HostPort: "5000" }],
      "5001/tcp": [{ HostIp: "127.0.0.1", HostPort: "5001" }],
      "5010/tcp": [{ HostIp: "", HostPort: "5010" }],
    });
    const stored = await type("docker volume inspect --format '{{.Mountpoint}}' entrepot_data");
    for (const name of everything(stored))
      expect([name, lstatSync(name).uid]).toEqual([name, USER]);
    // It has no shell, and finds its configuration by itself.
    const listed = await type(`${cache} exec -T entrepot entrepot ls`);
    for (const { name } of REGISTRIES) expect(listed).toContain(`${name}/library/app`);
    const token = (await readFile(join(caches, "entrepot.admin-token"), "utf8")).trim();
    const metrics = (header: string) =>
      type(`curl -s -o /dev/null -w '%{http_code}' ${header} http://127.0.0.1:5001/metrics`);
    expect(await metrics(`--header 'Authorization: Bearer ${token}'`)).toBe("200");
    expect(await metrics("")).toBe("401");

    await type(named("down"));
    expect(data.map(fingerprint)).toEqual(before);
    await upstreams.start();
    await type(named("start hub ghcr"));
    for (const registry of REGISTRIES) await pull(machine, folder, registry);
    // Whoever has gone back and forth finds what was cached before.
    await type(named("stop hub ghcr"));
    await type(named("up --detach --wait"));
    await type(named("rm hub ghcr").replace(" rm ", " rm --force "));
    for (const registry of REGISTRIES) await pull(machine, folder, registry);
    expect(await type("docker compose ps --all --quiet")).toBe(pushed);
  },
  600_000,
);

/** The registries behind the proxies, in the network of the machine. */
class Upstreams implements AsyncDisposable {
  readonly #machine: ComposeNode;
  readonly #folder: TempDir;
  #processes: ChildProcess[] = [];

  constructor(machine: ComposeNode, folder: TempDir) {
    this.#machine = machine;
    this.#folder = folder;
  }

  async start(): Promise<void> {
    for (const { upstreamPort, name } of REGISTRIES) {
      const config = this.#folder.file(`${name}.yml`);
      await writeFile(
        config,
        `version: 0.1\nstorage: { filesystem: { rootdirectory: ${this.#folder.file(name)} } }\nhttp: { addr: ":${upstreamPort}" }\n`,
      );
      const started = await startProcess({
        name: `the registry of ${name}`,
        command: [...this.#machine.network, "/usr/bin/docker-registry", "serve", config],
        ready: (upstream) => upstream.output().includes("listening on"),
      });
      this.#processes.push(started);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.stop()));
    this.#processes = [];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function pushImage(
  machine: ComposeNode,
  folder: TempDir,
  { name, upstreamPort }: Registry,
): Promise<void> {
  const file = folder.file(`${name}.tar`);
  await writeLayout(file, textImage({ text: name }), `${name}/library/app:1`);
  const to = `docker://127.0.0.1:${upstreamPort}/library/app:1`;
  const copy = ["skopeo", "copy", "--dest-tls-verify=false", `oci-archive:${file}`, to];
  await mustRun([...machine.network, ...copy]);
}

async function pull(
  machine: ComposeNode,
  folder: TempDir,
  { name, port }: Registry,
): Promise<void> {
  const to = folder.file(`pulled-${crypto.randomUUID()}`);
  const from = `docker://127.0.0.1:${port}/library/app:1`;
  const copy = ["skopeo", "copy", "--src-tls-verify=false", from, `dir:${to}`];
  await mustRun([...machine.network, ...copy]);
  expect(await readFile(join(to, "version"), "utf8")).toStartWith("Directory Transport");
  expect([name, readdirSync(to).length]).toEqual([name, 4]);
}

function everything(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return ["", ...names].map((name) => join(folder, name));
}
