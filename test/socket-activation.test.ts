import { expect } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { freePort } from "./harness/free-port.ts";
import { tempDir } from "./harness/temp-dir.ts";
import { ChildProcess, startProcess } from "./harness/processes.ts";
import { realTest } from "./harness/real-components.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));
const ACTIVATE = "/usr/bin/systemd-socket-activate";

const healthOf = (port: number): Promise<string> =>
  until(async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).text(), {
    what: `a response on port ${port}`,
  });

realTest("the cache serves on sockets that systemd opened, each for its own port", async () => {
  await using upstream = await startScriptedUpstream();
  const image = textImage({ text: "through a socket of systemd's" });
  upstream.add("app", image, "1");
  const [listen, upstreamPort] = [freePort(), freePort()];
  // The same port at two addresses belongs to two settings.
  const addresses = [
    `127.0.0.1:${listen}`,
    `127.0.0.1:${upstreamPort}`,
    `127.0.0.2:${upstreamPort}`,
  ];
  const sockets = addresses.flatMap((address) => ["-l", address]);
  // The first request starts the program, as with a socket unit.
  const first = healthOf(listen);
  await using cache = await startEntrepot({
    program: [ACTIVATE, ...sockets, PROGRAM],
    listen: `127.0.0.1:${listen}`,
    config: {
      upstreams: {
        "reg.test": { ...localUpstream(upstream.url), port: upstreamPort },
        "own.test": { ...localUpstream(upstream.url), listen: `127.0.0.2:${upstreamPort}` },
      },
    },
  });
  expect(await first).toBe("ok\n");
  expect(cache.address).toBe(`127.0.0.1:${listen}`);
  const manifest = `${cache.portUrl("reg.test")}/v2/app/manifests/1`;
  const bodies = await Promise.all(
    Array.from({ length: 200 }, async () => (await fetch(manifest)).bytes()),
  );
  const digests = bodies.map((body) => createHash("sha256").update(body).digest("hex"));
  expect(new Set(digests.map((hex) => `sha256:${hex}`))).toEqual(new Set([image.manifest.digest]));
  const own = await (await fetch(`http://127.0.0.2:${upstreamPort}/entrepot/v1/namespaces`)).json();
  expect(own).toEqual({ namespaces: ["own.test"] });
  // The client's address is still known, which a proxy in front would hide.
  const served = await (await cache.get("/entrepot/v1/served")).json();
  expect(served).toMatchObject({
    served: expect.arrayContaining([expect.objectContaining({ namespace: "reg.test" })]),
  });
});

/** Runs a program twice with the same inherited sockets, as systemd restarts a service. */
const TWICE = `for run in 1 2; do sh -c 'export LISTEN_PID=$$; exec "$@"' sh "$@"; done`;

realTest("during a restart, requests wait for the next process", async () => {
  await using dir = await tempDir("socket");
  const port = freePort();
  const address = `127.0.0.1:${port}`;
  const activate = [ACTIVATE, "-l", address, "/bin/sh", "-c", TWICE, "sh"];
  const serve = [PROGRAM, "serve", "--listen", address, "--admin", "127.0.0.1:0"];
  await using holder = await startProcess({
    name: "socket-activate",
    command: [...activate, ...serve, "--data", dir.path],
    ready: () => healthOf(port),
  });
  const children = () =>
    readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8").trim();
  const before = children();
  process.kill(Number(before), "SIGTERM");
  // Until the next process is ready, no connection is accepted, but none is refused either.
  const statuses: number[] = [];
  while (children() === before || statuses.length === 0 || !holder.output().includes("stopped")) {
    statuses.push((await fetch(`http://127.0.0.1:${port}/healthz`, { keepalive: false })).status);
  }
  statuses.push((await fetch(`http://127.0.0.1:${port}/healthz`, { keepalive: false })).status);
  expect(children()).not.toBe(before);
  expect(new Set(statuses)).toEqual(new Set([200]));
  // Stop the cache first: if the shell ended before it, the cache would keep running.
  process.kill(Number(children()), "SIGTERM");
  expect(await holder.ended()).toBe(0);
});

const unusable: [
  what: string,
  sockets: string[],
  listen: string,
  send: (port: number) => Promise<void>,
  message: string,
][] = [
  [
    "a socket for a port that is not configured",
    ["-l", "127.0.0.1:PORT"],
    "127.0.0.1:0",
    byTcp,
    "but no setting listens there",
  ],
  [
    "a port on two addresses",
    ["-l", "127.0.0.2:PORT", "-l", "127.0.0.1:PORT"],
    "0.0.0.0:PORT",
    byTcp,
    "at two addresses",
  ],
  [
    "a socket that is open to more than the configured address",
    ["-l", "0.0.0.0:PORT"],
    "127.0.0.2:PORT",
    byTcp,
    "(entrepot.socket), which is more than listen 127.0.0.2:PORT: write ListenStream=127.0.0.2:PORT",
  ],
  [
    "a datagram socket",
    ["-d", "-l", "127.0.0.1:PORT"],
    "127.0.0.1:0",
    byUdp,
    "which is not a listening TCP socket",
  ],
];

for (const [what, sockets, listen, send, message] of unusable) {
  realTest(`${what} prevents the start`, async () => {
    await using dir = await tempDir("socket");
    const port = freePort();
    const withPort = (text: string): string => text.replaceAll("PORT", String(port));
    const serve = ["serve", "--listen", withPort(listen), "--admin", "127.0.0.1:0"];
    await using child = new ChildProcess({
      name: "socket-activate",
      command: [ACTIVATE, ...sockets.map(withPort), PROGRAM, ...serve, "--data", dir.path],
      ready: () => true,
    });
    const hasEnded = async (): Promise<boolean> => {
      // After the exit, nothing listens on the port.
      await send(port).catch(() => undefined);
      return child.exitCode !== undefined;
    };
    await until(hasEnded, { what: "the program to exit", detail: () => child.output() });
    expect(await child.ended()).toBe(1);
    expect(child.output()).toContain(withPort(message));
  });
}

/** Connects to a port without waiting for a response. */
async function byTcp(port: number): Promise<void> {
  const handlers = { data: () => undefined };
  (await Bun.connect({ hostname: "127.0.0.1", port, socket: handlers })).end();
}

async function byUdp(port: number): Promise<void> {
  const socket = await Bun.udpSocket({});
  socket.send("x", port, "127.0.0.1");
  socket.close();
}
