import { expect, test } from "bun:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeCertificateAuthority } from "./harness/services/certificate-authority.ts";
import { type ContainerdPieces, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { busyboxImage } from "./harness/images/images.ts";
import { type TempDir, tempDir } from "./harness/temp-dir.ts";
import { mustRun, run } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/** Runs `entrepot render` with an output folder, and returns the folder. */
async function renderToFolder(target: string, ...args: string[]): Promise<TempDir> {
  const folder = await tempDir("rendered");
  await mustRun([PROGRAM, "render", target, "--output", folder.path, ...args]);
  return folder;
}

/** A node's config.toml with the part that `render containerd` says to merge into it. */
function withPart(pieces: ContainerdPieces, part: string): string {
  return `${part.replaceAll("/etc/containerd/certs.d", pieces.certsDir)}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pieces.sandboxImage}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${pieces.snapshotter}"
`.replace(
    "version = 2\n",
    `version = 2
root = "${pieces.root}"
state = "${pieces.state}"
oom_score = 0

[grpc]
  address = "${pieces.socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "${pieces.root}/opt"
`,
  );
}

for (const line of ["1.6", "1.7", "2.1"] as const) {
  realTest(`containerd ${line} pulls with the rendered certs.d and config_path`, async () => {
    await using registry = await startDockerRegistry();
    const names = ["reg.test", "other.test:5000"];
    for (const [index, name] of names.entries()) {
      const image = await busyboxImage({ text: name });
      await push(image, { url: registry.url, repository: `org/app${index}`, tag: "1" });
    }
    await using cache = await startEntrepot({
      config: {
        upstreams: Object.fromEntries(names.map((name) => [name, localUpstream(registry.url)])),
      },
    });
    // The registries are read from the running cache.
    await using tree = await renderToFolder("containerd", "--cache", cache.url);
    const part = await readFile(tree.file("etc/containerd/config.toml.part"), "utf8");
    const certs = tree.file("etc/containerd/certs.d");
    const hosts = {
      "reg.test": await readFile(join(certs, "reg.test/hosts.toml"), "utf8"),
      "other.test_5000_": await readFile(join(certs, "other.test_5000_/hosts.toml"), "utf8"),
    };
    await using containerd = await startContainerd({
      line,
      hosts,
      config: (pieces) => withPart(pieces, part),
    });
    for (const [index, name] of names.entries()) {
      await containerd.cri.pullImage(`${name}/org/app${index}:1`);
    }
    const served = await (await cache.get("/entrepot/v1/served")).text();
    for (const [index, name] of names.entries()) {
      expect(served).toContain(`{"namespace":"${name}","repository":"org/app${index}"`);
    }
  });
}

for (const line of ["1.6", "2.1"] as const) {
  realTest(`containerd ${line} pulls over TLS with the rendered CA certificate`, async () => {
    await using folder = await tempDir("authority");
    const ca = await makeCertificateAuthority(folder);
    const signed = await ca.sign("cache", "IP:127.0.0.1");
    await using registry = await startDockerRegistry();
    const image = await busyboxImage({ text: "over TLS" });
    await push(image, { url: registry.url, repository: "org/app", tag: "1" });
    const tls = { certificate: signed.certificateFile, key: signed.keyFile };
    const upstreams = { "reg.test": localUpstream(registry.url) };
    await using cache = await startEntrepot({ config: { tls, upstreams } });
    const at = `https://${cache.address}`;
    // The registries are read from the cache over TLS, with the same CA.
    await using tree = await renderToFolder("nerdctl", "--cache", at, "--ca", ca.certificateFile);
    const etc = tree.file("etc/containerd");
    const hosts = await readFile(join(etc, "certs.d/reg.test/hosts.toml"), "utf8");
    await using containerd = await startContainerd({
      line,
      hosts: { "reg.test": hosts.replaceAll("/etc/containerd", etc) },
    });
    await containerd.cri.pullImage("reg.test/org/app:1");
    expect((await containerd.cri.runToEnd("reg.test/org/app:1")).output).toBe("over TLS\n");
  });
}

realTest("skopeo pulls by name with the rendered registries.conf", async () => {
  await using registry = await startDockerRegistry();
  const image = await busyboxImage({ text: "by name" });
  await push(image, { url: registry.url, repository: "org/app", tag: "1" });
  await using cache = await startEntrepot({
    config: { upstreams: { "reg.test": localUpstream(registry.url) } },
  });
  await using tree = await renderToFolder("podman", "--cache", cache.url);
  await using target = await tempDir("copied");
  const file = tree.file("etc/containers/registries.conf.d/50-entrepot.conf");
  const conf = ["--registries-conf", file];
  await mustRun(["skopeo", ...conf, "copy", "docker://reg.test/org/app:1", `dir:${target.path}`]);
  expect(await readFile(target.file("manifest.json"))).toEqual(Buffer.from(image.manifest.bytes));
});

realTest("systemd accepts the rendered units and rates their sandboxing as good", async () => {
  await using tree = await renderToFolder("systemd");
  const unit = tree.file("etc/systemd/system/entrepot.service");
  const text = await readFile(unit, "utf8");
  // The program may be installed elsewhere on this machine.
  await writeFile(unit, text.replaceAll("/usr/local/bin/entrepot", PROGRAM));
  const verified = await run(["systemd-analyze", "verify", "--man=no", unit]);
  expect({ code: verified.code, stderr: verified.stderr }).toEqual({ code: 0, stderr: "" });
  const more = ["--output", tree.path, "--cache", "http://192.168.1.10:5010"];
  await mustRun([PROGRAM, "render", "systemd-socket", ...more]);
  const socket = tree.file("etc/systemd/system/entrepot.socket");
  expect(await readFile(socket, "utf8")).toContain("\nListenStream=5010\n");
  const both = await run(["systemd-analyze", "verify", "--man=no", socket, unit]);
  expect({ code: both.code, stderr: both.stderr }).toEqual({ code: 0, stderr: "" });
  const security = await mustRun(["systemd-analyze", "security", "--offline=true", unit]);
  expect(Number(/exposure level for entrepot\.service: ([\d.]+)/.exec(security)?.[1])).toBeLessThan(
    2,
  );
  const users = tree.file("etc/sysusers.d/entrepot.conf");
  const root = tree.file("root");
  await mkdir(join(root, "etc"), { recursive: true });
  await mustRun(["systemd-sysusers", `--root=${root}`, users]);
  expect(await readFile(join(root, "etc/passwd"), "utf8")).toMatch(
    /^entrepot:!?\*?x?:\d+:\d+:.*:\/var\/lib\/entrepot:\/usr\/sbin\/nologin$/m,
  );
});

test("render reports an output folder that cannot be written", async () => {
  await using dir = await tempDir("rendered");
  await writeFile(dir.file("file"), "");
  const cache = ["--cache", "http://cache.example:5000", "--upstream", "docker.io"];
  const { code, stderr } = await run([
    PROGRAM,
    "render",
    "k3s",
    ...cache,
    "--output",
    dir.file("file"),
  ]);
  expect(code).toBe(2);
  expect(stderr).toContain("registries.yaml cannot be written (ENOTDIR): is --output a directory");
});
