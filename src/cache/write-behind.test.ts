import { expect, test } from "bun:test";
import { WriteBehind } from "./write-behind.ts";

test("callers go on while a write takes long, unless there are too many or too large ones", async () => {
  const behind = new WriteBehind({ writes: 2, bytes: 1000 });
  const slow = () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    return { write: () => promise, finish: () => resolve("written") };
  };
  expect(await behind.run(async () => "written")).toBe("written");
  await behind.idle();
  const [small, large, third] = [slow(), slow(), slow()];
  expect(await behind.run(small.write, 500)).toBeUndefined();
  const tooLarge = behind.run(large.write, 501);
  const tooMany = behind.run(third.write);
  let isIdle = false;
  const idle = behind.idle().then(() => (isIdle = true));
  large.finish();
  expect(await tooLarge).toBe("written");
  third.finish();
  expect(await tooMany).toBe("written");
  expect(isIdle).toBe(false);
  small.finish();
  await idle;
});

test("what is behind now is waited for, and not what comes later", async () => {
  const behind = new WriteBehind();
  const [one, failing, later] = [1, 2, 3].map(() => Promise.withResolvers<void>());
  if (!one || !failing || !later) throw new Error("there are three");
  void behind.run(() => one.promise);
  behind.run(() => failing.promise).catch(() => {});
  const settled = behind.settled();
  void behind.run(() => later.promise);
  expect(await Promise.race([settled, Promise.resolve("behind")])).toBe("behind");
  one.resolve();
  failing.reject(new Error("it cannot be written"));
  await settled;
  later.resolve();
  await behind.idle();
});
