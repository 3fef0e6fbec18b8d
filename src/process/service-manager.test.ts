import { expect, test } from "bun:test";
import { dlopen, FFIType, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { tempDir } from "../../test/harness/temp-dir.ts";
import { ServiceManager } from "./service-manager.ts";

const { i32, u64, pointer } = FFIType;
const libc = () =>
  dlopen("libc.so.6", {
    socket: { args: [i32, i32, i32], returns: i32 },
    bind: { args: [i32, pointer, i32], returns: i32 },
    recv: { args: [i32, pointer, u64, i32], returns: FFIType.i64 },
    close: { args: [i32], returns: i32 },
  }).symbols;
const MSG_DONTWAIT = 0x40;

/** A socket as systemd has it. `next` is the next message, if one was sent. */
function receiver(name: string) {
  const c = libc();
  const socket = c.socket(1, 2, 0);
  const path = name.startsWith("@") ? `\0${name.slice(1)}` : `${name}\0`;
  const address = Buffer.from(`\u0001\0${path}`);
  expect(c.bind(socket, ptr(address), address.byteLength)).toBe(0);
  return {
    next(): string | undefined {
      const buffer = Buffer.alloc(65_536);
      const size = Number(c.recv(socket, ptr(buffer), BigInt(buffer.length), MSG_DONTWAIT));
      return size < 0 ? undefined : buffer.toString("utf8", 0, size);
    },
    [Symbol.dispose]: () => void c.close(socket),
  };
}

const never = (reason: string): void => expect(reason).toBe("not called");

test("the manager is told of the start, of a reload and of the end, at a path and at an abstract name", async () => {
  await using dir = await tempDir("notify");
  const long = dir.file("n".repeat(106 - dir.path.length));
  for (const name of [dir.file("a socket ü"), long, `@entrepot-test-${process.pid}`]) {
    using at = receiver(name);
    const env: Record<string, string | undefined> = { NOTIFY_SOCKET: name };
    const manager = new ServiceManager(env, never);
    expect(env).toEqual({});
    expect(at.next()).toBe("STATUS=starting");
    manager.ready("5 registries");
    expect(at.next()).toBe("READY=1\nSTATUS=5 registries");
    const before = monotonic();
    manager.reloading();
    const [, time] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(at.next() ?? "") ?? [];
    expect(Number(time)).toBeGreaterThanOrEqual(Math.floor(before));
    expect(Number(time)).toBeLessThanOrEqual(monotonic() + 1);
    manager.ready("rejected:\na.yaml:1:1: unknown key\r\n\n  READY=1");
    expect(at.next()).toBe("READY=1\nSTATUS=rejected:; a.yaml:1:1: unknown key; READY=1");
    manager.stopping("waiting");
    expect(at.next()).toBe("STOPPING=1\nSTATUS=waiting");
    expect(at.next()).toBeUndefined();
  }
});

/** CLOCK_MONOTONIC in microseconds, from another source: the boot's own clock in /proc/timer_list is for root. */
function monotonic(): number {
  const c = dlopen("libc.so.6", {
    clock_gettime: { args: [i32, pointer], returns: i32 },
  }).symbols;
  const time = new BigInt64Array(2);
  c.clock_gettime(1, ptr(time));
  return Number(time[0]) * 1e6 + Number(time[1]) / 1e3;
}

test("a manager that reads nothing for a while holds nobody up, and is told in order", async () => {
  await using dir = await tempDir("notify");
  using at = receiver(dir.file("slow"));
  const manager = new ServiceManager({ NOTIFY_SOCKET: dir.file("slow") }, never);
  // More than net.unix.max_dgram_qlen is on any system.
  const count = Number(readFileSync("/proc/sys/net/unix/max_dgram_qlen", "utf8")) + 8;
  for (let index = 0; index < count; index += 1) manager.status(String(index));
  manager.ready("reloaded");
  const told: string[] = [];
  while (told.at(-1) !== "READY=1\nSTATUS=reloaded") {
    const message = at.next();
    if (message === undefined) await setTimeout(10);
    else told.push(message);
  }
  expect(told).toHaveLength(count + 2);
  expect(told[count]).toBe(`STATUS=${count - 1}`);
});

test("once it is ready, a process that is watched gives four signs of life in the time that it has", async () => {
  await using dir = await tempDir("notify");
  using at = receiver(dir.file("watched"));
  const env: Record<string, string | undefined> = {
    NOTIFY_SOCKET: dir.file("watched"),
    WATCHDOG_USEC: "400000",
    WATCHDOG_PID: String(process.pid),
  };
  const manager = new ServiceManager(env, never);
  expect(env).toEqual({});
  await setTimeout(150);
  manager.ready("5 registries");
  manager.ready("reloaded");
  const told: string[] = [];
  const start = performance.now();
  while (told.length < 6) {
    const message = at.next();
    if (message === undefined) await setTimeout(5);
    else told.push(message);
  }
  // Three signs, and none before it was ready or twice as many after it was so again.
  expect(performance.now() - start).toBeGreaterThan(280);
  expect(told).toEqual([
    "STATUS=starting",
    "READY=1\nSTATUS=5 registries",
    "READY=1\nSTATUS=reloaded",
    ...Array(3).fill("WATCHDOG=1"),
  ]);
});

test.each([
  ["of another process", { WATCHDOG_USEC: "4000", WATCHDOG_PID: "1" }],
  ["of no time", { WATCHDOG_USEC: "soon" }],
  ["of zero", { WATCHDOG_USEC: "0" }],
])("a watchdog %s is given no signs", async (_, watchdog) => {
  await using dir = await tempDir("notify");
  using at = receiver(dir.file("other"));
  const manager = new ServiceManager({ NOTIFY_SOCKET: dir.file("other"), ...watchdog }, never);
  manager.ready("");
  expect([at.next(), at.next()]).toEqual(["STATUS=starting", "READY=1\nSTATUS="]);
  await setTimeout(50);
  expect(at.next()).toBeUndefined();
});

test("without a manager nothing happens, and one that cannot be reached is told of once", () => {
  const none = new ServiceManager({}, never);
  none.ready("");
  none.reloading();
  for (const name of [
    "relative",
    "/no/such/socket",
    "@nobody",
    "vsock:2:1",
    `/${"n".repeat(200)}`,
  ]) {
    const failures: string[] = [];
    const manager = new ServiceManager({ NOTIFY_SOCKET: name }, (reason) => failures.push(reason));
    manager.ready("5 registries");
    expect(failures).toEqual([
      `nothing can be sent to NOTIFY_SOCKET=${name}: the service manager is not told`,
    ]);
  }
});
