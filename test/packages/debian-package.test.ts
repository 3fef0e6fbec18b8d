import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { ensureDebianPackages } from "../../scripts/components/debian.mjs";
import { ensureRootfs, packagingPackages } from "../../scripts/components/debian-rootfs.mjs";
import { buildDebian } from "../../scripts/package/debian.mjs";
import { hostsToml, startContainerd } from "../harness/runtimes/containerd.ts";
import { localUpstream } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { longRealTest, realTest } from "../harness/real-components.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { builtExecutable } from "./built-packages.ts";
import { bootPackageMachine, expectServing } from "./machine.ts";

/** Not compressed: nobody keeps them. */
const FAST = ["-Znone"];

/** Packages of two versions. */
async function packagesIn(folder: string): Promise<[string, string]> {
  const built = await builtExecutable();
  const make = (version: string): string => buildDebian({ ...built, version }, folder, FAST);
  return [make("1.0.0-rc.1"), make("1.0.0")];
}

const CONFIG = "/etc/entrepot/entrepot.yaml";
const DATA = "/var/lib/entrepot";

/** Installs, upgrades under a node that pulls, removes and purges, on a machine with this tree of files. */
async function lifecycle(lower: string): Promise<void> {
  await using dir = await tempDir("packages");
  const [old, current] = await packagesIn(dir.path);
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "kept" });
  upstream.add("org/kept", image, "1");
  await using node = await bootPackageMachine(lower, dir.path);
  const { machine, run } = node;

  await run("dpkg", "-i", old);
  await expectServing(node);
  expect(await run("entrepot", "--version")).toMatch(/^\d+\.\d+\.\d+/);
  expect(await run("stat", "-c", "%U:%G %a", CONFIG, DATA)).toBe(
    "root:entrepot 640\nentrepot:entrepot 750\n",
  );
  expect(await run("stat", "-c", "%U", `/proc/${await node.mainPid()}`)).toBe("entrepot\n");
  const enabled = (unit: string): Promise<string> =>
    run("systemctl", "is-enabled", unit).catch((error: unknown) => String(error));
  expect((await enabled("entrepot")).trim()).toBe("enabled");
  expect(await enabled("entrepot-node-watch")).toContain("disabled");

  const edited = `# edited\n${JSON.stringify({ upstreams: { [upstream.address]: localUpstream(upstream.url) } })}\n`;
  await writeFile(machine.inside(CONFIG), edited);
  await run("systemctl", "reload", "entrepot");

  await using containerd = await startContainerd({
    hosts: { [upstream.address]: hostsToml({ server: upstream.url, hosts: [node.url] }) },
  });
  const reference = `${upstream.address}/org/kept:1`;
  let pulls = 0;
  const pull = async (): Promise<void> => {
    await containerd.cri.pullImage(reference);
    await containerd.cri.removeImage(reference);
    pulls += 1;
  };
  await pull();
  const before = await node.mainPid();
  const upgraded = new AbortController();
  // As apt does it with a file that both have changed; here it is the same, and no question is asked.
  const upgrade = run("dpkg", "-i", current);
  void upgrade.finally(() => upgraded.abort()).catch(() => undefined);
  while (!upgraded.signal.aborted) await pull();
  await upgrade;
  expect(pulls).toBeGreaterThan(1);
  await expectServing(node);
  expect([0, before]).not.toContain(await node.mainPid());
  expect(await readFile(machine.inside(CONFIG), "utf8")).toBe(edited);
  expect(await run("stat", "-c", "%U:%G %a", CONFIG)).toBe("root:entrepot 640\n");
  expect(await run("dpkg-query", "-W", "-f", "${Version}", "entrepot")).toBe("1.0.0-1");

  // What was stored before is served after.
  upstream.respond(() => ({ status: 503 }));
  const blob = image.blobs[0]?.digest ?? "";
  const kept = await fetch(`${node.url}/v2/org/kept/blobs/${blob}?ns=${upstream.address}`);
  expect(kept.status).toBe(200);
  await kept.bytes();

  // A service that the operator has disabled and stopped stays so.
  await run("systemctl", "disable", "--now", "entrepot");
  await run("dpkg", "-i", current);
  expect((await enabled("entrepot")).trim()).toContain("disabled");
  expect(await node.state()).toBe("inactive");
  await run("systemctl", "enable", "--now", "entrepot");
  await expectServing(node);

  await run("dpkg", "--remove", "entrepot");
  expect(await node.mainPid()).toBe(0);
  expect(existsSync(machine.inside("/usr/bin/entrepot"))).toBe(false);
  expect(await readFile(machine.inside(CONFIG), "utf8")).toBe(edited);
  expect(existsSync(machine.inside(DATA))).toBe(true);
  await mkdir(machine.inside(`${DATA}/node`), { recursive: true });
  await writeFile(machine.inside(`${DATA}/node/journal.json`), "{}");

  await run("dpkg", "--purge", "entrepot");
  expect(existsSync(machine.inside("/etc/entrepot"))).toBe(false);
  expect(existsSync(machine.inside("/var/log/entrepot"))).toBe(false);
  // All that the cache has stored, and not what takes back the wiring of the node.
  expect(await run("find", DATA, "-type", "f")).toBe(`${DATA}/node/journal.json\n`);
}

realTest(
  "the Debian package is installed on a machine with systemd, serves as its own user, and is removed",
  async () => {
    await using dir = await tempDir("packages");
    const deb = buildDebian({ ...(await builtExecutable()), version: "1.0.0" }, dir.path, FAST);
    await using node = await bootPackageMachine("/", dir.path);
    const { machine, run } = node;
    await run("dpkg", "-i", deb);
    await expectServing(node);
    expect(await run("stat", "-c", "%U", `/proc/${await node.mainPid()}`)).toBe("entrepot\n");
    await run("dpkg", "--purge", "entrepot");
    expect(await node.mainPid()).toBe(0);
    const left = [DATA, "/etc/entrepot", "/var/log/entrepot", "/usr/bin/entrepot"];
    expect(left.filter((path) => existsSync(machine.inside(path)))).toEqual([]);
  },
  // The image is built first, if no other test has done so.
  400_000,
);

for (const suite of ["bookworm", "trixie"] as const) {
  longRealTest(
    `the Debian package is installed, upgraded under a node that pulls, removed and purged on Debian ${suite}`,
    async () => {
      const { available, reason } = await ensureDebianPackages(packagingPackages);
      expect(reason).toBeUndefined();
      expect(available).toBe(true);
      await lifecycle(await ensureRootfs(suite));
    },
    1_200_000,
  );
}
