import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { until } from "../../../test/harness/waiting.ts";
import { RateSchedule } from "../../config/parsing/rate-schedule.ts";
import { DownloadRates } from "../rates/download-rates.ts";
import * as dialing from "../upstreamtest/dialing.ts";
import { faultOf, serve, serveRaw } from "../upstreamtest/test-servers.ts";

// Each test shortens only the timeout that it waits for: on a busy machine another one could fire first.
const shortHeaders = { timeouts: { headers: 150 } };
const shortStall = { timeouts: { stall: 150 } };

const { dialer, readBytes } = dialing;

// Blobs come over connections of our own, everything else over those of `fetch`.
describe.each(["manifest", "blob"] as const)("for a %s", (kind) => {
  const request: typeof dialing.request = (url, overrides) =>
    dialing.request(url, { kind, ...overrides });

  test("a server that sends no headers is a timeout", async () => {
    using server = await serveRaw(() => undefined);
    const subject = dialer(shortHeaders);
    expect(await faultOf(subject.dial(request(`http://reg.test:${server.port}/`)))).toEqual({
      kind: "upstream-timeout",
      upstream: "reg.test",
      waitedFor: "respond",
      seconds: 0.15,
    });
  });

  test("headers that trickle in do not extend the timeout", async () => {
    using server = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n");
      const trickle = setInterval(() => socket.writable && socket.write("x: y\r\n"), 20);
      socket.on("close", () => clearInterval(trickle));
    });
    const fault = await faultOf(
      dialer(shortHeaders).dial(request(`http://reg.test:${server.port}/`)),
    );
    expect(fault.kind).toBe("upstream-timeout");
  });

  test("a DNS lookup that hangs is a timeout", async () => {
    const subject = dialer({ resolver: () => new Promise(() => undefined), ...shortHeaders });
    expect((await faultOf(subject.dial(request("http://reg.test/")))).kind).toBe(
      "upstream-timeout",
    );
  });

  test("a body that stalls fails, and its connection is closed", async () => {
    using server = await serveRaw((socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
    );
    const response = await dialer(shortStall).dial(request(`http://reg.test:${server.port}/`));
    expect(await faultOf(readBytes(response.body))).toMatchObject({
      kind: "upstream-timeout",
      waitedFor: "send the next bytes",
    });
    await response.ended;
    await until(() => server.open() === 0, { what: "the connection to close" });
  });

  test.each([50, 400])("a body of %d bytes per second fails like one that stalls", async (rate) => {
    const part = "x".repeat(rate / 50);
    using server = await serveRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
      const trickle = setInterval(() => socket.writable && socket.write(part), 20);
      socket.on("close", () => clearInterval(trickle));
    });
    const response = await dialer(shortStall).dial(request(`http://reg.test:${server.port}/`));
    expect(await faultOf(readBytes(response.body))).toMatchObject({
      kind: "upstream-timeout",
      waitedFor: expect.stringMatching(/^send more than \d+ bytes$/),
      isTooSlow: true,
    });
    expect(await response.ended).toMatchObject({ outcome: "broken" });
    await until(() => server.open() === 0, { what: "the connection to close" });
  });

  test("a body that stalls is too slow if the bytes before are few, and not if there are none or many", async () => {
    let sent = 0;
    using server = await serveRaw((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n${"x".repeat(sent)}`),
    );
    const subject = dialer(shortStall);
    const stalled = async (bytes: number) => {
      sent = bytes;
      const { body } = await subject.dial(request(`http://reg.test:${server.port}/`));
      return faultOf(readBytes(body));
    };
    expect(await stalled(5)).toMatchObject({ waitedFor: "send the next bytes", isTooSlow: true });
    for (const bytes of [0, 50_000]) expect(await stalled(bytes)).not.toHaveProperty("isTooSlow");
  });

  test("a slow reader does not count as a stall", async () => {
    using server = serve(() => new Response("x".repeat(300_000)));
    using stalled = await serveRaw((socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
    );
    const subject = dialer(shortStall);
    const response = await subject.dial(request(`http://reg.test:${server.port}/`));
    const reader = response.body?.getReader();
    let length = (await reader?.read())?.value?.byteLength ?? 0;
    // Pause for longer than the stall timeout: meanwhile, two stalled bodies time out one after the other.
    for (const url of [1, 2].map(() => `http://reg.test:${stalled.port}/`)) {
      const { body } = await subject.dial(request(url));
      expect((await faultOf(readBytes(body))).kind).toBe("upstream-timeout");
    }
    for (;;) {
      const next = await reader?.read();
      if (!next || next.done) break;
      length += next.value.byteLength;
    }
    expect(length).toBe(300_000);
  });

  test.each([
    ["directly", false],
    ["through a proxy", true],
  ])(
    "a body that maxRate holds back %s for longer than the stall timeout does not stall",
    async (_, proxied) => {
      using server = serve(() => new Response("x".repeat(100_000)));
      // A plain server is its own proxy: it is sent the same request with an absolute URL.
      const address = new URL(`http://127.0.0.1:${server.port}`);
      const proxy = { proxy: { http: address, except: [], from: "HTTP_PROXY" } };
      const rates = new DownloadRates();
      rates.configure({ maxRate: RateSchedule.always(2 ** 20), upstreams: new Map() });
      const turns = rates.open({ upstream: "reg.test", blob: "x" });
      rates.open({ upstream: "reg.test", blob: "y" }).received(400_000);
      const subject = dialer({ ...shortStall, rates });
      const url = `http://reg.test:${server.port}/`;
      const response = await subject.dial(request(url, { turns, ...(proxied ? proxy : {}) }));
      expect((await readBytes(response.body)).byteLength).toBe(100_000);
      expect(await response.ended).toEqual({ bytes: 100_000, outcome: "complete" });
      expect(turns.waited).toBeGreaterThan(shortStall.timeouts.stall);
    },
  );

  test("a body that a client waits for as a whole is not held back, but others are for it", async () => {
    using server = serve(() => new Response("x".repeat(4096)));
    const rates = new DownloadRates();
    rates.configure({ maxRate: RateSchedule.always(1024), upstreams: new Map() });
    const turns = rates.open({ upstream: "reg.test", blob: "x" });
    const url = `http://reg.test:${server.port}/`;
    const response = await dialer({ rates }).dial(request(url, { turns }));
    expect((await readBytes(response.body)).byteLength).toBe(4096);
    expect(turns.waited).toBe(0);
    const abort = new AbortController();
    const other = rates.open({ upstream: "reg.test", blob: "y" }).next(abort.signal);
    expect(rates.isHoldingBack("reg.test")).toBe(true);
    abort.abort(new Error("gone"));
    expect(other).rejects.toThrow("gone");
  });

  test("a wait for maxRate ends with the request", async () => {
    using server = serve(() => new Response("x".repeat(100_000)));
    const rates = new DownloadRates();
    rates.configure({ maxRate: RateSchedule.always(1024), upstreams: new Map() });
    const turns = rates.open({ upstream: "reg.test", blob: "x" });
    const abort = new AbortController();
    const { signal } = abort;
    const url = `http://reg.test:${server.port}/`;
    const response = await dialer({ rates }).dial(request(url, { turns, signal }));
    const reading = readBytes(response.body);
    await until(() => rates.isHoldingBack("reg.test"), { what: "the body to be held back" });
    abort.abort(new Error("gone"));
    expect(reading).rejects.toThrow("gone");
    expect(await response.ended).toMatchObject({ outcome: "cancelled" });
  });

  test("a host that accepts no connection fails after the connect timeout", async () => {
    // A stopped process accepts nothing, and the kernel drops what its backlog cannot hold.
    const script = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () { console.log(this.address().port) })`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const attempts: Socket[] = [];
    try {
      const first = await child.stdout.getReader().read();
      const port = Number(new TextDecoder().decode(first.value));
      child.kill("SIGSTOP");
      // An early attempt that is still connecting is not in the backlog: it is full.
      const isFull = (): boolean => attempts.slice(0, -200).some(({ connecting }) => connecting);
      await until(
        () => {
          for (let i = 0; i < 100; i += 1) {
            attempts.push(connect({ host: "127.0.0.1", port }).on("error", () => undefined));
          }
          return isFull();
        },
        { what: "the backlog to be full" },
      );
      const subject = dialer({ timeouts: { connect: 150 } });
      expect(await faultOf(subject.dial(request(`http://reg.test:${port}/`)))).toMatchObject({
        kind: "upstream-timeout",
        waitedFor: `accept a connection at reg.test:${port}`,
        seconds: 0.15,
      });
    } finally {
      for (const socket of attempts) socket.destroy();
      child.kill("SIGKILL");
      await child.exited;
    }
  });
});
