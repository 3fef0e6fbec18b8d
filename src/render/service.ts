import { header, type Target } from "./target.ts";

const SYSUSERS = `u entrepot - "Entrepot, a cache for container registries" /var/lib/entrepot
`;

/** The unit of the cache itself. deploy/systemd holds the same text; a test keeps them alike. */
export function unitText(): string {
  return `[Unit]
Description=Entrepot, a pull-through cache for container registries
Wants=network-online.target
After=network-online.target time-sync.target
StartLimitIntervalSec=0

[Service]
# As bin/entrepot has it: garbage is collected earlier, and downloads take less memory.
Environment=BUN_JSC_forceRAMSize=536870912
ExecStart=/usr/local/bin/entrepot serve --config /etc/entrepot/entrepot.yaml
User=entrepot
Group=entrepot
Restart=on-failure
RestartSec=2
# What is under way gets 15 s to finish.
TimeoutStopSec=30
StateDirectory=entrepot
StateDirectoryMode=0750
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
# Not MemoryDenyWriteExecute: the program compiles its JavaScript to machine code while it runs.

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
      "/etc/systemd/system/entrepot.service on the cache's machine, with its user in /etc/sysusers.d; the program is /usr/local/bin/entrepot",
    restart: "`systemd-sysusers && systemctl daemon-reload && systemctl enable --now entrepot`",
    mind: [
      "No timers and no clean-up jobs belong to it.",
      "`systemctl status entrepot` only tells that it runs: `entrepot doctor` tells whether it can be used.",
      "/etc/entrepot/entrepot.yaml has to be there, empty perhaps, and readable by the user entrepot: `install -D -g entrepot -m 0640 entrepot.yaml /etc/entrepot/entrepot.yaml`. So have the secrets that it names.",
      "`entrepot render systemd-socket` adds a socket unit, so that no restart refuses a connection.",
    ],
  },
  render: (_, notes) => [
    { path: "/etc/systemd/system/entrepot.service", text: `${header(notes)}\n${unitText()}` },
    { path: "/etc/sysusers.d/entrepot.conf", text: SYSUSERS },
  ],
};

/** deploy/systemd holds the same texts, for port 5000. */
export function socketText(port: string): string {
  return `[Unit]
Description=Ports of Entrepot

[Socket]
ListenStream=${port}
Backlog=4096

[Install]
WantedBy=sockets.target
`;
}

/** What the service needs besides where it has a socket unit. */
export function socketDropIn(): string {
  return `[Unit]
Requires=entrepot.socket
After=entrepot.socket
# A service that cannot start is given up, and its ports with it: a node that is refused goes to the
# registry at once, and one whose connection waits does not.
StartLimitIntervalSec=60
StartLimitBurst=5
`;
}

export const systemdSocket: Target = {
  name: "systemd-socket",
  isCacheItself: true,
  title: "a systemd socket for that service: no refused connection during a restart",
  notes: {
    where: "/etc/systemd/system, beside the files of `entrepot render systemd`",
    restart: "`systemctl daemon-reload && systemctl enable --now entrepot.socket entrepot`",
    mind: [
      "Each ListenStream has to be the port of `listen`, or of an upstream, in entrepot.yaml: one at which nothing is to listen stops the start. The port for administration stays the cache's own.",
      "Who may connect is ListenStream's to say, and no more `listen`'s: ListenStream=10.0.0.5:5000 for one address alone. A port is written once; without an address it takes IPv4 and IPv6.",
      "systemd opens ports below 1024 as well, for which the service then needs no privilege.",
      "While the service is stopped its socket takes connections that nobody answers: stop both, `systemctl stop entrepot.socket entrepot`. After five failed starts in a minute systemd gives up both.",
    ],
  },
  render: ({ cache }, notes) => [
    {
      path: "/etc/systemd/system/entrepot.socket",
      text: `${header(notes)}\n${socketText(cache.port || (cache.protocol === "https:" ? "443" : "80"))}`,
    },
    {
      path: "/etc/systemd/system/entrepot.service.d/socket.conf",
      text: `${header(notes)}\n${socketDropIn()}`,
    },
  ],
};

/** deploy/compose.yaml holds the same text. */
export function composeText(): string {
  return `services:
  entrepot:
    image: entrepot:latest
    restart: unless-stopped
    command: [serve, --config, /etc/entrepot/entrepot.yaml]
    user: "65532:65532"
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ports:
      - "5000:5000"
    volumes:
      - ./entrepot.yaml:/etc/entrepot/entrepot.yaml:ro
      - data:/var/lib/entrepot
    ulimits:
      nofile: 65536
    stop_grace_period: 30s
volumes:
  data:
`;
}

export const compose: Target = {
  name: "compose",
  isCacheItself: true,
  title: "the cache with Docker Compose or podman-compose",
  notes: {
    where: "compose.yaml in a folder of its own, with entrepot.yaml beside it",
    restart: "`docker compose up -d`; after a change of entrepot.yaml `docker compose restart`",
    mind: [
      "The image is the one that `npm run image` builds: load it with `docker load -i dist/entrepot-image-linux-amd64.tar`, or arm64.",
      "Every upstream with a `port` needs that port under `ports` too.",
      "entrepot.yaml and the files that it names have to be readable by the user 65532. `entrepot import` writes for its caller alone: `chown 65532 entrepot.yaml`.",
      "A folder in place of the volume has to belong to the user 65532.",
    ],
  },
  render: (_, notes) => [{ path: "compose.yaml", text: `${header(notes)}\n${composeText()}` }],
};
