import { expect } from "bun:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { socketDropIn, socketText, unitText } from "../src/render/cache-machine/service.ts";
import { freePort } from "./harness/free-port.ts";
import { realTest } from "./harness/real-components.ts";
import { failureOf, until } from "./harness/waiting.ts";
import { type BootedNode, bootNode } from "./node/booted.ts";
import { isLong } from "./node/supervised.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

/**
 * Disables the sandboxing that nested namespaces cannot have, and the user that this machine lacks.
 */
const OVERRIDES = `[Unit]
DefaultDependencies=no
[Service]
User=root
Group=root
ProtectSystem=no
ProtectHome=no
PrivateTmp=no
PrivateDevices=no
PrivateUsers=no
PrivateIPC=no
ProtectHostname=no
ProtectClock=no
ProtectControlGroups=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectKernelTunables=no
ProtectProc=default
ProcSubset=all
`;

/** Installs the rendered units, with the differences for this test in drop-ins. */
async function install(node: BootedNode, port: number): Promise<void> {
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(join(node.inside(path), ".."), { recursive: true });
    await writeFile(node.inside(path), text);
  };
  const units = "/etc/systemd/system";
  const socket = socketText(String(port)).replace("ListenStream=", "ListenStream=127.0.0.1:");
  const unit = unitText().replaceAll("/usr/local/bin/entrepot", PROGRAM);
  await write(`${units}/entrepot.service`, unit);
  await write(`${units}/entrepot.service.d/socket.conf`, socketDropIn());
  await write(`${units}/entrepot.service.d/here.conf`, OVERRIDES);
  await write(`${units}/entrepot.socket`, socket);
  await write(`${units}/entrepot.socket.d/here.conf`, "[Unit]\nDefaultDependencies=no\n");
  const config = `listen: 127.0.0.1:${port}\nadmin: 127.0.0.1:${freePort()}\n`;
  await write("/etc/entrepot/entrepot.yaml", config);
  await node.run("systemctl", "daemon-reload");
}

realTest(
  "under systemd with the rendered units, requests during a restart or a crash wait and succeed, and a reload says whether it did",
  async () => {
    await using node = await bootNode("1.6", "version = 2\n");
    const port = freePort();
    await install(node, port);
    const state = async (unit: string): Promise<string> =>
      (await node.run("systemctl", "show", "--value", "--property=ActiveState", unit)).trim();
    const pid = async (): Promise<number> =>
      Number(await node.run("systemctl", "show", "--value", "--property=MainPID", "entrepot"));
    const healthStatus = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}/healthz`, { keepalive: false })).status;

    await node.run("systemctl", "start", "entrepot.socket");
    expect(await healthStatus()).toBe(200);
    const first = await pid();

    const restarting = new AbortController();
    const restarted = node.run("systemctl", "restart", "entrepot");
    void restarted.finally(() => restarting.abort());
    const statuses: number[] = [];
    while (!restarting.signal.aborted) statuses.push(await healthStatus());
    await restarted;
    statuses.push(await healthStatus());
    expect(new Set(statuses)).toEqual(new Set([200]));
    const second = await pid();
    expect([0, first]).not.toContain(second);

    const config = node.inside("/etc/entrepot/entrepot.yaml");
    const text = await readFile(config, "utf8");
    const statusText = async (): Promise<string> =>
      (await node.run("systemctl", "show", "--value", "--property=StatusText", "entrepot")).trim();
    // Type=notify: the unit was not active before the cache had said this.
    expect(await statusText()).toBe(`caching 5 registries at 127.0.0.1:${port}`);
    await writeFile(config, `${text}upstreams: { reg.test: }\n`);
    await node.run("systemctl", "reload", "entrepot");
    expect(await statusText()).toBe(`caching 1 registry at 127.0.0.1:${port}`);
    await writeFile(config, `${text}upstreams: { reg.test: { speed: 1 } }\n`);
    const rejected = await failureOf(node.run("systemctl", "reload", "entrepot"));
    expect(rejected).toContain("Job for entrepot.service failed");
    await until(async () => (await statusText()).includes('unknown key "speed"'), {
      what: "the status to name the mistake",
    });
    expect([await state("entrepot"), await pid()]).toEqual(["active", second]);
    await writeFile(config, text);
    await node.run("systemctl", "reload", "entrepot");

    await node.run("kill", "-9", String(second));
    expect(await healthStatus()).toBe(200);
    expect([0, first, second]).not.toContain(await pid());

    if (!isLong) return;
    // A process that hangs is ended by the watchdog, and started anew; one that only waits is not.
    await writeFile(
      node.inside("/etc/systemd/system/entrepot.service.d/watchdog.conf"),
      "[Service]\nWatchdogSec=3s\n",
    );
    await node.run("systemctl", "daemon-reload");
    await node.run("systemctl", "restart", "entrepot");
    const watched = await pid();
    await setTimeout(8_000);
    expect(await pid()).toBe(watched);
    await node.run("kill", "-STOP", String(watched));
    await until(async () => ![0, watched].includes(await pid()), {
      what: "another process",
      within: 30_000,
    });
    expect(await healthStatus()).toBe(200);
    // systemd gives up on a service that never starts and closes its port: nodes then go to the
    // registry.
    await writeFile(node.inside("/etc/entrepot/entrepot.yaml"), "nonsense: 1\n");
    await node.run("systemctl", "restart", "entrepot").catch(() => undefined);
    const refused = async (): Promise<boolean> => (await state("entrepot.socket")) === "failed";
    await until(refused, { what: "systemd to give up the socket", within: 40_000 });
    expect(await healthStatus().catch((error: unknown) => String(error))).toContain("connect");
  },
  120_000,
);
