import { expect } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { chownSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BUILT_IMAGE, builtImage } from "./harness/images/built-image.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { busyboxImage } from "./harness/images/images.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { run } from "./harness/processes.ts";
import { push } from "./harness/registries/push.ts";
import { realTest } from "./harness/real-components.ts";
import { until } from "./harness/waiting.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const USER = 65_532;

realTest(
  "the image runs in containerd as non-root with a read-only root, and serves pulls",
  async () => {
    await using folder = await tempDir("image");
    await using registry = await startDockerRegistry();
    const image = await busyboxImage({ text: "out of an image" });
    await push(image, { url: registry.url, repository: "org/app", tag: "1" });
    const config = folder.file("entrepot.yaml");
    const data = folder.file("data");
    await mkdir(data, { mode: 0o700 });
    chownSync(data, USER, USER);
    const upstreams = { "reg.test": localUpstream(registry.url) };
    // YAML includes JSON.
    await writeFile(config, JSON.stringify({ upstreams }), { mode: 0o644 });
    const port = freePort();
    const url = `http://127.0.0.1:${port}`;
    await using containerd = await startContainerd({
      hosts: { "reg.test": hostsToml({ server: "https://reg.test", hosts: [url] }) },
    });
    await containerd.ctr("images", "import", await builtImage());
    const mount = (from: string, to: string, mode: string): string[] => [
      "--mount",
      `type=bind,src=${from},dst=${to},options=rbind:${mode}`,
    ];
    const settings = ["--config", "/etc/entrepot/entrepot.yaml"];
    const addresses = ["--listen", `127.0.0.1:${port}`, "--admin", `127.0.0.1:${freePort()}`];
    await containerd.ctr(
      "run",
      "--detach",
      "--net-host",
      "--read-only",
      "--snapshotter",
      containerd.pieces.snapshotter,
      ...mount(config, "/etc/entrepot/entrepot.yaml", "ro"),
      ...mount(data, "/var/lib/entrepot", "rw"),
      BUILT_IMAGE,
      "cache",
      "/usr/local/bin/entrepot",
      "serve",
      ...settings,
      ...addresses,
    );
    try {
      await until(async () => (await fetch(`${url}/healthz`)).ok, {
        what: "the cache in the container",
        within: 20_000,
      });
      const [, pid = ""] = /^cache\s+(\d+)/m.exec(await containerd.ctr("tasks", "list")) ?? [];
      const status = await Bun.file(`/proc/${pid}/status`).text();
      expect(/^Uid:\s+(.*)$/m.exec(status)?.[1]).toBe("65532\t65532\t65532\t65532");
      // What Bun reads as it starts is set in the image too, as by bin/entrepot.
      const environment = (await Bun.file(`/proc/${pid}/environ`).text()).split("\0");
      const names = environment.map((one) => one.replace(/=.*/s, ""));
      expect(names).toEqual(
        expect.arrayContaining(["UV_THREADPOOL_SIZE", "BUN_JSC_forceRAMSize", "SSL_CERT_FILE"]),
      );
      // The command of the image's health check, which has no token and no other settings.
      const health = ["/usr/local/bin/entrepot", "health", "--listen", `127.0.0.1:${port}`];
      const exec = ["tasks", "exec", "--exec-id", "health", "cache", ...health];
      expect(await containerd.ctr(...exec)).toBe(`${url}/healthz responds\n`);
      await containerd.cri.pullImage("reg.test/org/app:1");
      expect((await containerd.cri.runToEnd("reg.test/org/app:1")).output).toBe(
        "out of an image\n",
      );
      const served = await (await fetch(`${url}/entrepot/v1/served`)).text();
      expect(served).toContain('"namespace":"reg.test","repository":"org/app"');
    } finally {
      await containerd.ctr("tasks", "kill", "--signal", "SIGKILL", "cache");
      await containerd.ctr("tasks", "delete", "--force", "cache").catch(() => undefined);
      await containerd.ctr("containers", "delete", "cache").catch(() => undefined);
    }
  },
  120_000,
);

realTest(
  "the single executable runs without its node_modules, and is also built for arm64",
  async () => {
    await using folder = await tempDir("build");
    // The executable must not need node_modules.
    const script = `import("${ROOT}scripts/build.mjs").then(({ build }) => {
    for (const one of ["x64", "arm64"]) console.log(build(one, "${folder.path}"));
  })`;
    const built = await run(["node", "--input-type=module", "-e", script], { cwd: ROOT });
    expect(built.stdout.trim().split("\n")).toEqual([
      folder.file("entrepot-linux-x64"),
      folder.file("entrepot-linux-arm64"),
    ]);
    const header = await Bun.file(folder.file("entrepot-linux-arm64")).slice(0, 20).bytes();
    // ELF's e_machine: 183 is AArch64.
    expect([header[18], header[19]]).toEqual([183, 0]);
    // Files in the working directory must not affect it.
    await writeFile(folder.file(".env"), "ENTREPOT_LISTEN=nonsense\n");
    await writeFile(folder.file("bunfig.toml"), 'preload = ["./nowhere.ts"]\n');
    const program = ["env", "-C", folder.path, folder.file("entrepot-linux-x64")];
    await using cache = await startEntrepot({
      program,
      config: { upstreams: { "reg.test": { url: "https://reg.test" } } },
    });
    expect((await cache.get("/v2/")).status).toBe(200);
  },
);
