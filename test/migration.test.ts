import { expect } from "bun:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { hostsToml, startContainerd } from "./harness/containerd.ts";
import { startDockerRegistry } from "./harness/docker-registry.ts";
import { startEntrepot } from "./harness/entrepot.ts";
import { busyboxImage } from "./harness/images.ts";
import { tempDir } from "./harness/places.ts";
import { mustRun, startProcess } from "./harness/processes.ts";
import { push } from "./harness/pushing.ts";
import { realTest } from "./harness/real.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
/** An address of the loopback network that nobody else listens at, so that the ports are free. */
const ADDRESS = "127.0.77.1";
const PORTS: Readonly<Record<string, number>> = {
  "docker.io": 5000,
  "ghcr.io": 5010,
  "quay.io": 5020,
  "registry.k8s.io": 5030,
  "reg.kyverno.io": 5040,
};

/** Pulls each registry's image on a node that is wired to the five ports, and runs it. */
async function pullAll(): Promise<string[]> {
  const hosts = Object.entries(PORTS).map(([name, port]) => {
    const server = name === "docker.io" ? "https://registry-1.docker.io" : `https://${name}`;
    return [name, hostsToml({ server, hosts: [`http://${ADDRESS}:${port}`] })];
  });
  await using containerd = await startContainerd({ hosts: Object.fromEntries(hosts) });
  const said: string[] = [];
  for (const name of Object.keys(PORTS)) {
    const image = `${name}/library/app:1`;
    await containerd.cri.pullImage(image);
    said.push((await containerd.cri.runToEnd(image)).output);
  }
  return said;
}

realTest(
  "one Entrepot takes the place of five registry:2, and nodes pull on at the five ports",
  async () => {
    await using folder = await tempDir("five");
    await using running = new AsyncDisposableStack();
    await using upstreams = new AsyncDisposableStack();
    const names: string[] = [];
    const files: string[] = [];
    for (const [name, port] of Object.entries(PORTS)) {
      const upstream = upstreams.use(await startDockerRegistry());
      const image = await busyboxImage({ text: name });
      await push(image, { url: upstream.url, repository: "library/app", tag: "1" });
      const file = folder.file(`${name}.yml`);
      const data = folder.file(`${name}.data`);
      await mkdir(data);
      await writeFile(
        file,
        `version: 0.1
storage: { filesystem: { rootdirectory: ${data} } }
http: { addr: "${ADDRESS}:${port}" }
proxy: { remoteurl: "${upstream.url}" }
`,
      );
      files.push(file);
      // Here the upstream is another than the one whose name its images carry.
      names.push("--name", `${upstream.address}=${name}`);
      running.use(
        await startProcess({
          name: `registry:2 of ${name}`,
          command: ["/usr/bin/docker-registry", "serve", file],
          ready: async () => (await fetch(`http://${ADDRESS}:${port}/v2/`)).ok,
        }),
      );
    }
    const expected = Object.keys(PORTS).map((name) => `${name}\n`);
    expect(await pullAll()).toEqual(expected);
    await running.disposeAsync();

    const output = folder.file("entrepot.yaml");
    await mustRun([PROGRAM, "import", ...files, ...names, "--output", output]);
    const config: unknown = parse(await readFile(output, "utf8"));
    expect(config).toMatchObject({ listen: `${ADDRESS}:5000` });
    if (typeof config !== "object" || config === null) throw new Error("no configuration");
    await using cache = await startEntrepot({ config, listen: `${ADDRESS}:5000` });
    expect(cache.portUrl("reg.kyverno.io")).toBe(`http://${ADDRESS}:5040`);
    expect(await pullAll()).toEqual(expected);

    await upstreams.disposeAsync();
    expect(await pullAll()).toEqual(expected);
  },
  120_000,
);
