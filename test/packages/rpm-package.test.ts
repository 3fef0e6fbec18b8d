import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { ensureDebianPackages } from "../../scripts/components/debian.mjs";
import { packagingPackages } from "../../scripts/components/debian-rootfs.mjs";
import { buildRpm } from "../../scripts/package/rpm.mjs";
import { longRealTest } from "../harness/real-components.ts";
import { tempDir } from "../harness/temp-dir.ts";
import { builtExecutable } from "./built-packages.ts";
import { bootPackageMachine, expectServing } from "./machine.ts";

const CONFIG = "/etc/entrepot/entrepot.yaml";
/** Nobody keeps them. */
const FAST = "w1.gzdio";

// Debian has rpm, and nothing that is packaged by it: the scriptlets run under a real systemd, the dependencies are
// not resolved, and what Fedora's and SUSE's own rpm do differently is not seen.
longRealTest(
  "the rpm package is installed, upgraded with an edited configuration, and removed under this machine's systemd",
  async () => {
    expect((await ensureDebianPackages(packagingPackages)).reason).toBeUndefined();
    await using dir = await tempDir("rpm");
    const built = await builtExecutable();
    const old = buildRpm({ ...built, version: "1.0.0-rc.1" }, dir.path, FAST);
    const current = buildRpm({ ...built, version: "1.0.0" }, dir.path, FAST);
    await using node = await bootPackageMachine("/", dir.path);
    const { machine, run } = node;
    const rpm = (...args: string[]): Promise<string> =>
      run("rpm", "--dbpath", "/var/lib/rpm-test", ...args);

    await rpm("-i", "--nodeps", old);
    expect(await node.state()).toBe("inactive");
    expect(await run("stat", "-c", "%U:%G %a", CONFIG, "/var/lib/entrepot")).toBe(
      "root:entrepot 640\nentrepot:entrepot 750\n",
    );
    await run("systemctl", "enable", "--now", "entrepot");
    await expectServing(node);
    const before = await node.mainPid();
    await writeFile(machine.inside(CONFIG), "# edited\n");
    await writeFile(machine.inside("/var/lib/entrepot/kept"), "");

    await rpm("-U", "--nodeps", current);
    await expectServing(node);
    expect([0, before]).not.toContain(await node.mainPid());
    expect(await rpm("-q", "entrepot")).toBe("entrepot-1.0.0-1.x86_64\n");
    expect(await readFile(machine.inside(CONFIG), "utf8")).toBe("# edited\n");

    await rpm("-e", "--nodeps", "entrepot");
    expect(await node.mainPid()).toBe(0);
    expect(existsSync(machine.inside("/usr/bin/entrepot"))).toBe(false);
    expect(await readFile(machine.inside(`${CONFIG}.rpmsave`), "utf8")).toBe("# edited\n");
    expect(existsSync(machine.inside("/var/lib/entrepot/kept"))).toBe(true);
  },
  600_000,
);
