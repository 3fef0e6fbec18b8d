import { expect, test } from "bun:test";
import { until } from "../../../test/harness/waiting.ts";
import { FileSends } from "./file-sends.ts";

/** File sends whose reads the test counts, and the results of those that have ended. */
function setUp() {
  let read: number | undefined = 1000;
  const sends = new FileSends(() => read);
  const ended: Record<string, number> = {};
  const brokenOff: Record<string, { sent: number; isExact: boolean }> = {};
  const open = (name: string, size: number) => {
    const client = new AbortController();
    let isOpen = true;
    sends.follow({
      size,
      signal: client.signal,
      isOpen: () => isOpen,
      ended: (bytes) => {
        ended[name] = bytes;
      },
      brokeOff: (sent, isExact) => {
        brokenOff[name] = { sent, isExact };
      },
    });
    return {
      cut: () => client.abort(),
      finish: () => {
        isOpen = false;
        return until(() => name in ended, { what: `the end of ${name}` });
      },
    };
  };
  return {
    open,
    ended,
    brokenOff,
    sends,
    read: (bytes: number | undefined) => {
      read = bytes === undefined ? undefined : (read ?? 0) + bytes;
    },
  };
}

test("a file that is sent alone counts as far as it was read when the client left", async () => {
  const at = setUp();
  const first = at.open("first", 100);
  at.read(30);
  first.cut();
  at.read(500);
  const second = at.open("second", 100);
  at.read(104);
  await second.finish();
  expect(at.ended).toEqual({ first: 30, second: 100 });
});

test("a response that ends without an abort but was not read as a whole was cut", async () => {
  const at = setUp();
  const send = at.open("one", 100);
  at.read(40);
  await send.finish();
  expect(at.ended).toEqual({ one: 40 });
});

test("files that are sent at a time share what was read, as their sizes allow", () => {
  const at = setUp();
  const small = at.open("small", 10);
  const large = at.open("large", 1000);
  at.read(100);
  large.cut();
  at.read(5);
  small.cut();
  expect(at.ended).toEqual({ small: 10, large: 90 });
});

test("a completed file corrects the shares of the others, so that the sum stays right", async () => {
  const at = setUp();
  const slow = at.open("slow", 1000);
  const fast = at.open("fast", 400);
  at.read(450);
  await fast.finish();
  at.read(20);
  slow.cut();
  expect(at.ended).toEqual({ fast: 400, slow: 70 });
});

test("where the system does not count reads, only complete files count", async () => {
  const at = setUp();
  at.read(undefined);
  const [whole, cut] = [at.open("whole", 100), at.open("cut", 100)];
  cut.cut();
  await whole.finish();
  expect(at.ended).toEqual({ cut: 0, whole: 100 });
});

test("what is still being sent when the cache stops counts as far as it came", () => {
  const at = setUp();
  at.open("one", 100);
  at.read(25);
  at.sends.close();
  expect(at.ended).toEqual({ one: 25 });
});

test("a file that broke off without an abort is reported, and whether others were sent meanwhile", async () => {
  const at = setUp();
  const left = at.open("left", 100);
  at.read(10);
  left.cut();
  const alone = at.open("alone", 100);
  at.read(40);
  await alone.finish();
  const [first, second] = [at.open("first", 1000), at.open("second", 50)];
  at.read(100);
  second.cut();
  at.read(30);
  await first.finish();
  expect(at.brokenOff).toEqual({
    alone: { sent: 40, isExact: true },
    first: { sent: 80, isExact: false },
  });
});
