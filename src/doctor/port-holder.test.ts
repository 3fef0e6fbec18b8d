import { expect, test } from "bun:test";
import { type Machine, thisMachine } from "./machine.ts";
import { portHolder } from "./port-holder.ts";

/** A machine where a program with this name listens at port 5000, at a socket of IPv6. */
function machineWith(name: string, files: Record<string, string> = {}): Machine {
  const header =
    "  sl  local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode";
  const line = (state: string, inode: number): string =>
    `   0: 00000000000000000000000000000000:1388 0:0 ${state} 0:0 00:0 0 1000 0 ${inode} 1 ffff 100 0 0 10 0`;
  const texts: Record<string, string> = {
    "/proc/net/tcp": `${header}\n`,
    "/proc/net/tcp6": `${header}\n${line("01", 7)}\n${line("0A", 9)}\n`,
    "/proc/812/comm": `${name}\n`,
    ...files,
  };
  const links: Record<string, string> = {
    "/proc/1/fd/3": "socket:[7]",
    "/proc/812/fd/4": "socket:[9]",
  };
  const folders: Record<string, string[]> = {
    "/proc": ["1", "812", "net", "self"],
    "/proc/1/fd": ["3"],
    "/proc/812/fd": ["4"],
  };
  return {
    read: (path) => texts[path],
    link: (path) => links[path],
    list: (path) => folders[path] ?? [],
    run: () => undefined,
  };
}

const nothing: Machine = {
  read: () => undefined,
  link: () => undefined,
  list: () => [],
  run: () => undefined,
};

test("the holder of a port is named as far as it can be known, with what to do", () => {
  const of = (machine: Machine, port = 5000) => {
    const { name, advice } = portHolder(port, machine, "linux");
    return `${name}: ${advice}`;
  };
  const serve = { "/proc/812/cmdline": "/usr/local/bin/entrepot\0serve\0--config\0x\0" };
  const fromCheckout = {
    "/proc/812/cmdline": "bun.exe\0--no-install\0/x/scripts/launch.mjs\0serve\0",
  };
  const registry = { "/proc/812/cmdline": "docker-registry\0serve\0/srv/entrepot/config.yml\0" };
  const synology = { ...nothing, read: (path: string) => (/synoinfo/.test(path) ? "" : undefined) };
  expect([
    of(machineWith("nginx")),
    of(machineWith("docker-proxy")),
    of(machineWith("systemd")),
    of(machineWith("bun.exe", serve)),
    of(machineWith("bun.exe", fromCheckout)),
    of(machineWith("docker-registry", registry)),
    of(machineWith("nginx"), 5001),
    of(synology),
    of(synology, 5010),
  ]).toEqual([
    "nginx (process 812): `ps -fp 812` shows more",
    "docker-proxy (process 812): it publishes the port of a container: `docker ps --filter publish=5000` shows which",
    "systemd (process 812): a socket unit has opened it: `systemctl list-sockets` shows which",
    "Entrepot (process 812): `ps -fp 812` shows more",
    "Entrepot (process 812): `ps -fp 812` shows more",
    "docker-registry (process 812): `ps -fp 812` shows more",
    "another program: find it as root: `ss -ltnp 'sport = :5001'`",
    "DSM, the web interface of the Synology,: its port is set in Control Panel, Login Portal",
    "another program: find it as root: `ss -ltnp 'sport = :5010'`",
  ]);
});

test("on macOS, AirPlay Receiver is named at port 5000", () => {
  const of = (output: string | undefined, port = 5000) => {
    const machine = { ...nothing, run: () => output };
    const { name, advice } = portHolder(port, machine, "darwin");
    return `${name}: ${advice}`;
  };
  const off = "AirPlay Receiver: turn it off in System Settings, General, AirDrop & Handoff";
  expect([
    of("p501\ncControlCe\nf9\n"),
    of("p77\ncnode\nf9\n"),
    of(undefined),
    of(undefined, 5001),
  ]).toEqual([
    `macOS (Control Center): for its ${off}`,
    "node (process 77): `ps -fp 77` shows more",
    `another program: on macOS most often the ${off}; find it: \`sudo lsof -nP -iTCP:5000 -sTCP:LISTEN\``,
    "another program: find it: `sudo lsof -nP -iTCP:5001 -sTCP:LISTEN`",
  ]);
});

test.skipIf(process.platform !== "linux")("a real socket is found, of IPv4 and of IPv6", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    using server = Bun.listen({ hostname, port: 0, socket: { data() {} } });
    expect(portHolder(server.port, thisMachine).name).toEndWith(` (process ${process.pid})`);
  }
});
