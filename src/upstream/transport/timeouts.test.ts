import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { until } from "../../../test/harness/waiting.ts";
import { dialer, read, request } from "../upstreamtest/dialing.ts";
import { faultOf, serve, serveRaw } from "../upstreamtest/test-servers.ts";

// Each test shortens the one that it waits for: on a busy machine another could be over before it.
const noHeaders = { deadlines: { headers: 150 } };
const stalls = { deadlines: { stall: 150 } };

test("a stall before the headers", async () => {
  using server = await serveRaw(() => undefined);
  const subject = dialer(noHeaders);
  expect(await faultOf(subject.dial(request(`http://reg.test:${server.port}/`)))).toEqual({
    kind: "upstream-timeout",
    upstream: "reg.test",
    waitedFor: "answer",
    seconds: 0.15,
  });
});

test("headers that drip count as a stall", async () => {
  using server = await serveRaw((socket) => {
    socket.write("HTTP/1.1 200 OK\r\n");
    const drip = setInterval(() => socket.writable && socket.write("x: y\r\n"), 20);
    socket.on("close", () => clearInterval(drip));
  });
  const fault = await faultOf(dialer(noHeaders).dial(request(`http://reg.test:${server.port}/`)));
  expect(fault.kind).toBe("upstream-timeout");
});

test("a resolver that hangs", async () => {
  const subject = dialer({ resolver: () => new Promise(() => undefined), ...noHeaders });
  expect((await faultOf(subject.dial(request("http://reg.test/")))).kind).toBe("upstream-timeout");
});

test("a stall in mid-body fails the body and closes the connection", async () => {
  using server = await serveRaw((socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
  );
  const answer = await dialer(stalls).dial(request(`http://reg.test:${server.port}/`));
  expect(await faultOf(read(answer.body))).toMatchObject({
    kind: "upstream-timeout",
    waitedFor: "send the next bytes",
  });
  await answer.ended;
  await until(() => server.open() === 0, { what: "the connection to close" });
});

test("a body that drips fails like one that stalls", async () => {
  using server = await serveRaw((socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    const drip = setInterval(() => socket.writable && socket.write("x"), 20);
    socket.on("close", () => clearInterval(drip));
  });
  const answer = await dialer(stalls).dial(request(`http://reg.test:${server.port}/`));
  expect(await faultOf(read(answer.body))).toMatchObject({
    kind: "upstream-timeout",
    waitedFor: expect.stringMatching(/^send more than \d+ bytes$/),
  });
  expect(await answer.ended).toMatchObject({ how: "broken" });
  await until(() => server.open() === 0, { what: "the connection to close" });
});

test("a reader that takes its time is no stall", async () => {
  using server = serve(() => new Response("x".repeat(300_000)));
  using still = await serveRaw((socket) =>
    socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"),
  );
  const subject = dialer(stalls);
  const answer = await subject.dial(request(`http://reg.test:${server.port}/`));
  const reader = answer.body?.getReader();
  let length = (await reader?.read())?.value?.byteLength ?? 0;
  // Longer than a sender may take: twice in a row, one that stands still is given up meanwhile.
  for (const url of [1, 2].map(() => `http://reg.test:${still.port}/`)) {
    const { body } = await subject.dial(request(url));
    expect((await faultOf(read(body))).kind).toBe("upstream-timeout");
  }
  for (;;) {
    const next = await reader?.read();
    if (!next || next.done) break;
    length += next.value.byteLength;
  }
  expect(length).toBe(300_000);
});

test("a host that takes no connection is left before its headers' deadline", async () => {
  // Stopped, it accepts nothing; what its queue does not hold any more is dropped by the system.
  const script = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () { console.log(this.address().port) })`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const queue: Socket[] = [];
  try {
    const first = await child.stdout.getReader().read();
    const port = Number(new TextDecoder().decode(first.value));
    child.kill("SIGSTOP");
    // What was asked for long ago and still waits is in no queue.
    const isFull = (): boolean => queue.slice(0, -200).some(({ connecting }) => connecting);
    await until(
      () => {
        for (let i = 0; i < 100; i += 1) {
          queue.push(connect({ host: "127.0.0.1", port }).on("error", () => undefined));
        }
        return isFull();
      },
      { what: "its queue to be full" },
    );
    const subject = dialer({ deadlines: { connect: 150 } });
    expect(await faultOf(subject.dial(request(`http://reg.test:${port}/`)))).toMatchObject({
      kind: "upstream-timeout",
      waitedFor: `accept a connection at reg.test:${port}`,
      seconds: 0.15,
    });
  } finally {
    for (const socket of queue) socket.destroy();
    child.kill("SIGKILL");
    await child.exited;
  }
});
