import { expect } from "bun:test";
import { createConnection, createServer } from "node:net";
import { mkdir } from "node:fs/promises";
import { builtImage } from "../harness/images/built-image.ts";
import {
  type ContainerdPieces,
  hostsToml,
  startContainerd,
} from "../harness/runtimes/containerd.ts";
import { localUpstream } from "../harness/cache/entrepot.ts";
import { renderChart } from "../harness/pods/helm.ts";
import { textImage } from "../harness/images/images.ts";
import { makePodNetwork } from "../harness/pods/pod-network.ts";
import { longRealTest } from "../harness/real-components.ts";
import { RenderedPod } from "../harness/pods/rendered-pod.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { imageValues } from "./node-workloads.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;

function config(pieces: ContainerdPieces, network: string): string {
  return `version = 2
root = "${pieces.root}"
state = "${pieces.state}"
[grpc]
  address = "${pieces.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${pieces.root}/opt"
[${cri}]
  sandbox_image = "${pieces.sandboxImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [${cri}.containerd]
    snapshotter = "${pieces.snapshotter}"
  [${cri}.registry]
    config_path = "${pieces.certsDir}"
${network}`;
}

/** Makes a port of this machine's loopback known at all its addresses. */
async function reachable(port: number): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer((client) => {
    const target = createConnection(port, "127.0.0.1");
    client.pipe(target).pipe(client);
    client.on("error", () => target.destroy());
    target.on("error", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it has no port");
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

longRealTest(
  "the chart's cache runs as it is rendered, is found healthy by its probes, and serves a pull",
  async () => {
    const archive = await builtImage();
    await using folder = await tempDir("cache-pod");
    await using upstream = await startScriptedUpstream();
    upstream.add("org/hello", textImage({ text: "hello" }), "1");
    await using registry = await reachable(Number(new URL(upstream.url).port));
    const network = makePodNetwork(folder.path);
    await using containerd = await startContainerd({
      config: (pieces) => config(pieces, network.toml(cri)),
    });
    await containerd.ctr("images", "import", archive);

    const url = `http://${network.gateway}:${registry.port}`;
    const objects = await renderChart({
      ...imageValues(),
      config: { upstreams: { "reg.test": localUpstream(url) } },
      nodes: { enabled: false },
    });
    const workload = objects.find(({ kind }) => kind === "StatefulSet");
    if (!workload) throw new Error("there is no StatefulSet");
    const data = folder.file("data");
    await mkdir(data);
    await using pod = new RenderedPod(workload, {
      node: {
        cri: containerd.cri,
        ip: network.gateway,
        name: "node-1",
        folder: folder.path,
        onNode: (path) => path,
      },
      objects,
      claims: { data },
    });
    await pod.start();
    for (const kind of ["startupProbe", "livenessProbe", "readinessProbe"] as const)
      await pod.waitFor("entrepot", kind);

    const [, pid = ""] =
      new RegExp(`^${pod.id("entrepot")}\\s+(\\d+)`, "m").exec(
        await containerd.ctr("tasks", "list"),
      ) ?? [];
    const status = await Bun.file(`/proc/${pid}/status`).text();
    expect(/^Uid:\s+(.*)$/m.exec(status)?.[1]).toBe("65532\t65532\t65532\t65532");
    expect(/^CapEff:\s+(.*)$/m.exec(status)?.[1]).toBe("0000000000000000");
    expect([/^NoNewPrivs:\s+1$/m.test(status), /^Seccomp:\s+2$/m.test(status)]).toEqual([
      true,
      true,
    ]);

    const cache = `http://${pod.ip}:5000`;
    await containerd.writeHosts(
      "reg.test",
      hostsToml({ server: "https://reg.test", hosts: [cache] }),
    );
    await containerd.cri.pullImage("reg.test/org/hello:1");
    expect(await (await fetch(`${cache}/entrepot/v1/served`)).text()).toContain(
      '"repository":"org/hello"',
    );
    const told = await pod.exec("entrepot", ["/usr/local/bin/entrepot", "ls"]);
    expect([told.exitCode, told.output]).toEqual([
      0,
      expect.stringContaining("reg.test/org/hello"),
    ]);
    const from = "--cache=http://127.0.0.1:5000";
    // As the chart's test pod does, which is run where there is a cluster.
    const pulled = await pod.exec("entrepot", [
      "/usr/local/bin/entrepot",
      "pull",
      "reg.test/org/hello:1",
      from,
    ]);
    expect([pulled.exitCode, pulled.output]).toEqual([0, expect.stringContaining("each verified")]);
    // It ends by itself, within its time.
    expect(await pod.stop()).toMatchObject([{ name: "entrepot", exitCode: 0 }]);
  },
  120_000,
);
