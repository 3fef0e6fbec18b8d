import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../harness/free-port.ts";
import { until } from "../harness/waiting.ts";
import { type BootedMachine, bootMachine } from "../node/booted.ts";

/**
 * Disables what services cannot have in nested namespaces, and has the service listen at free ports: the network
 * is that of all tests.
 */
function overrides(port: number, admin: number): string {
  return `[Unit]
DefaultDependencies=no
[Service]
Environment=ENTREPOT_LISTEN=127.0.0.1:${port} ENTREPOT_ADMIN=127.0.0.1:${admin}
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
}

/** A machine on which the packages of a folder are installed. */
export interface PackageMachine extends AsyncDisposable {
  readonly machine: BootedMachine;
  /** Where the cache of its service listens. */
  readonly url: string;
  /** Runs a program, and returns what it prints. */
  readonly run: (...command: string[]) => Promise<string>;
  readonly mainPid: () => Promise<number>;
  readonly state: () => Promise<string>;
}

/** @param lower the tree of files of the machine */
export async function bootPackageMachine(lower: string, packages: string): Promise<PackageMachine> {
  const [port, admin] = [freePort(), freePort()];
  const machine = await bootMachine(lower, packages);
  const folder = machine.inside("/etc/systemd/system/entrepot.service.d");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "here.conf"), overrides(port, admin));
  // It would forbid the start of every service.
  await rm(machine.inside("/usr/sbin/policy-rc.d"), { force: true });
  return {
    machine,
    url: `http://127.0.0.1:${port}`,
    run: (...command) => machine.run(...command),
    mainPid: async () => Number(await machine.property("entrepot", "MainPID")),
    state: () => machine.property("entrepot", "ActiveState"),
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}

export async function expectServing({ url }: PackageMachine): Promise<void> {
  const serves = async (): Promise<boolean> =>
    (await fetch(`${url}/healthz`, { keepalive: false }).catch(() => undefined))?.status === 200;
  await until(serves, { what: "the installed cache to serve", within: 30_000 });
}
