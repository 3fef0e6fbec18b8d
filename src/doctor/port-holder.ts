import type { Machine } from "./machine.ts";

/** What listens at a port that this cache cannot open. */
export interface PortHolder {
  /** `nginx (process 812)`; "another program" if it cannot be known. */
  readonly name: string;
  /** How to find or to stop it. */
  readonly advice: string;
}

/** State of a listening socket in /proc/net/tcp (proc(5)). */
const LISTENING = "0A";
/** Programs that hold a port for something else, and how to get at that. */
const PROXIES: Readonly<Record<string, (port: number) => string>> = {
  "docker-proxy": (port) =>
    `it publishes the port of a container: \`docker ps --filter publish=${port}\` shows which`,
  systemd: () => "a socket unit has opened it: `systemctl list-sockets` shows which",
};
/** macOS's process of AirPlay and others: lsof shortens its name. */
const CONTROL_CENTER = /^ControlCe/;
const AIRPLAY = "AirPlay Receiver: turn it off in System Settings, General, AirDrop & Handoff";

/** Finds out what listens at a TCP port of this machine, as far as this user may see it. */
export function portHolder(
  port: number,
  machine: Machine,
  platform: NodeJS.Platform = process.platform,
): PortHolder {
  if (platform === "darwin") return onMac(port, machine);
  const isSynology = machine.read("/etc/synoinfo.conf") !== undefined;
  if (isSynology && (port === 5000 || port === 5001)) {
    const advice = "its port is set in Control Panel, Login Portal";
    return { name: "DSM, the web interface of the Synology,", advice };
  }
  const sockets = listeningSockets(port, machine);
  for (const pid of machine.list("/proc").filter((name) => /^\d+$/.test(name))) {
    const isHolder = machine
      .list(`/proc/${pid}/fd`)
      .some((fd) => sockets.has(machine.link(`/proc/${pid}/fd/${fd}`) ?? ""));
    if (!isHolder) continue;
    const name = machine.read(`/proc/${pid}/comm`)?.trim() ?? "a program";
    const advice = PROXIES[name]?.(port) ?? `\`ps -fp ${pid}\` shows more`;
    return { name: `${isEntrepot(pid, machine) ? "Entrepot" : name} (process ${pid})`, advice };
  }
  return { name: "another program", advice: `find it as root: \`ss -ltnp 'sport = :${port}'\`` };
}

/** What the descriptors of listening sockets link to: `socket:[1234]`. */
function listeningSockets(port: number, machine: Machine): ReadonlySet<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap(
    (file) => machine.read(file)?.split("\n").slice(1) ?? [],
  );
  return new Set(
    lines.flatMap((line) => {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      return state === LISTENING && local.endsWith(suffix) ? [`socket:[${inode}]`] : [];
    }),
  );
}

/** Whether its command is `entrepot serve`, of an executable or a checkout. */
function isEntrepot(pid: string, machine: Machine): boolean {
  const words = machine.read(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  return words.some(
    (word, at) => /(?:^|\/)(?:entrepot|launch\.mjs)$/.test(word) && words[at + 1] === "serve",
  );
}

function onMac(port: number, machine: Machine): PortHolder {
  const found = machine.run(["lsof", "-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-Fpc"]) ?? "";
  const [, pid] = /^p(\d+)$/m.exec(found) ?? [];
  const [, name] = /^c(.+)$/m.exec(found) ?? [];
  const isAirPlay = name === undefined ? port === 5000 : CONTROL_CENTER.test(name);
  if (name !== undefined && isAirPlay) {
    return { name: "macOS (Control Center)", advice: `for its ${AIRPLAY}` };
  }
  if (name !== undefined) {
    return { name: `${name} (process ${pid})`, advice: `\`ps -fp ${pid}\` shows more` };
  }
  const advice = `find it: \`sudo lsof -nP -iTCP:${port} -sTCP:LISTEN\``;
  return {
    name: "another program",
    advice: isAirPlay ? `on macOS most often the ${AIRPLAY}; ${advice}` : advice,
  };
}
