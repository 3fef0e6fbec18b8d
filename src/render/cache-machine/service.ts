import type { PortableConfig } from "../../config/portable-config.ts";
import { addressesOf, cacheFiles, CONFIG_PATH } from "./cache-files.ts";
import { comment, header, type Notes, type RenderedFile, type Target } from "../target.ts";

const SYSUSERS = `u entrepot - "Entrepot, a cache for container registries" /var/lib/entrepot
`;

/** What an operator sees of a processor that Bun cannot run on: the program itself says nothing. */
export function illegalInstruction(shown: string): string {
  return `${shown}: the processor is not x86-64-v2. Give a virtual machine another type than kvm64 or qemu64, such as host.`;
}

/** The cache's own systemd unit. deploy/systemd holds the same text; a test compares them. */
export function unitText(): string {
  return `[Unit]
Description=Entrepot, a pull-through cache for container registries
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=/usr/local/bin/entrepot serve --config /etc/entrepot/entrepot.yaml
# Fails if the configuration is not valid: the running cache then keeps the previous one.
ExecReload=/usr/local/bin/entrepot reload --config /etc/entrepot/entrepot.yaml
User=entrepot
Group=entrepot
Restart=on-failure
RestartSec=2
# A disk can take minutes to open the store, and would take as long the next time.
TimeoutStartSec=infinity
# A process that hangs serves nobody, and does not exit.
WatchdogSec=2min
# Entrepot waits up to 15 s for requests in flight before it exits.
TimeoutStopSec=30
StateDirectory=entrepot
StateDirectoryMode=0750
LogsDirectory=entrepot
LogsDirectoryMode=0750
ConfigurationDirectory=entrepot
LimitNOFILE=65536
OOMScoreAdjust=-500

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
UMask=0027
# MemoryDenyWriteExecute is not set: the JavaScript JIT compiler needs writable, executable memory.

[Install]
WantedBy=multi-user.target
`;
}

export const systemd: Target = {
  name: "systemd",
  isCacheItself: true,
  title: "the cache as a systemd service",
  notes: {
    where:
      "/etc/systemd/system/entrepot.service on the cache's machine; its user goes to /etc/sysusers.d, the executable to /usr/local/bin/entrepot",
    apply: "`systemd-sysusers && systemctl daemon-reload && systemctl enable --now entrepot`",
    caveats: [
      "No timers or clean-up jobs are needed.",
      "The unit is active once the cache listens. `systemctl status entrepot` shows where; `entrepot doctor` checks whether nodes can use it.",
      "`systemctl reload entrepot` reads the configuration again, and fails if it is not valid. The cache also does so by itself when a file changes.",
      "/etc/entrepot/entrepot.yaml must exist (it may be empty) and be readable by the user entrepot: `install -D -g entrepot -m 0640 entrepot.yaml /etc/entrepot/entrepot.yaml`. The same holds for the secret files that it references.",
      illegalInstruction("If `systemctl status entrepot` shows status=4/ILL"),
      "`entrepot render systemd-socket` adds a socket unit, so that a restart refuses no connections.",
    ],
  },
  render: ({ config }, notes) => [
    { path: "/etc/systemd/system/entrepot.service", text: `${header(notes)}\n${unitText()}` },
    { path: "/etc/sysusers.d/entrepot.conf", text: SYSUSERS },
    ...(config ? configFiles(config, notes) : []),
  ],
};

function configFiles(config: PortableConfig, notes: Notes): RenderedFile[] {
  const { files, missing, dataDirectory } = cacheFiles(config);
  const folder =
    dataDirectory === undefined
      ? ""
      : `${comment(`Data: \`install -d -o entrepot -g entrepot -m 0750 ${shellQuoted(dataDirectory)}\` before the first start`, "       ")}\n`;
  return files.map(({ path, text }) => ({
    path,
    text: `${header(notes)}${path === CONFIG_PATH ? missing + folder : ""}\n${text}`,
  }));
}

/** A word that stays one, whatever is in it, if the command is copied into a shell. */
function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The socket unit. deploy/systemd holds the same text for port 5000. */
export function socketText(...addresses: string[]): string {
  return `[Unit]
Description=Ports of Entrepot

[Socket]
${addresses.map((address) => `ListenStream=${address}`).join("\n")}
Backlog=4096

[Install]
WantedBy=sockets.target
`;
}

/** With the host that is configured: a port alone would be open at every address. */
function socketAddresses(config: PortableConfig): string[] {
  return addressesOf(config).map(
    ({ address: { host, port } }) => `${host.includes(":") ? `[${host}]` : host}:${port}`,
  );
}

/** The drop-in that binds the service to its socket unit. deploy/systemd holds the same text. */
export function socketDropIn(): string {
  return `[Unit]
Requires=entrepot.socket
After=entrepot.socket
# After five failed starts in a minute systemd stops the socket as well. A node whose connection is
# refused falls back to the registry at once; one whose connection is accepted waits for a response.
StartLimitIntervalSec=60
StartLimitBurst=5
`;
}

export const systemdSocket: Target = {
  name: "systemd-socket",
  isCacheItself: true,
  title: "a systemd socket for that service: no refused connections during a restart",
  notes: {
    where: "/etc/systemd/system, next to the files of `entrepot render systemd`",
    apply: "`systemctl daemon-reload && systemctl enable --now entrepot.socket entrepot`",
    caveats: [
      "Each ListenStream must match `listen`, or the `port` or `listen` of an upstream in entrepot.yaml; any other one makes the start fail. The admin port is not passed by systemd: Entrepot opens it itself.",
      "Write a ListenStream with the address that entrepot.yaml names, such as ListenStream=10.0.0.5:5000. Where that is 0.0.0.0 or [::], ListenStream decides which addresses accept connections: without one it covers IPv4 and IPv6.",
      "systemd can open ports below 1024, so the service needs no privilege for them.",
      "While the service is stopped, the socket still accepts connections, which then hang. Stop both: `systemctl stop entrepot.socket entrepot`. After five failed starts in a minute systemd stops both.",
    ],
  },
  render: ({ cache, config }, notes) => [
    {
      path: "/etc/systemd/system/entrepot.socket",
      text: `${header(notes)}\n${socketText(...(config ? socketAddresses(config) : [cache.port || (cache.protocol === "https:" ? "443" : "80")]))}`,
    },
    {
      path: "/etc/systemd/system/entrepot.service.d/socket.conf",
      text: `${header(notes)}\n${socketDropIn()}`,
    },
  ],
};
