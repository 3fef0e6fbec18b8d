import { afterAll, beforeAll, expect } from "bun:test";
import { CoolDownWorld, DAY, MINUTE } from "./harness/cool-down/cool-down-world.ts";
import { real, realTest } from "./harness/real-components.ts";

/** All tests share its clock; each has repositories of its own. */
let world: CoolDownWorld;

beforeAll(async () => {
  const policies = [{ match: "reg.test/**", minAge: "3d" }];
  if (real.available) world = await CoolDownWorld.start({ policies });
});

afterAll(() => world?.[Symbol.asyncDispose]());

realTest("a tag that is pushed again and again stays the digest before all that", async () => {
  const before = world.move("pushed", "1", "before");
  await world.ask("pushed/manifests/1");
  await world.clock.forward(9 * DAY);
  for (let push = 0; push < 25; push += 1) {
    world.move("pushed", "1", `push ${push}`);
    await world.clock.forward(10 * MINUTE);
    await world.ask("pushed/manifests/1");
  }
  expect((await world.tag("pushed", "1")).digest).toBe(before.manifest.digest);
});

realTest(
  "after a clock that was ahead, a tag stays what it was first, and is not what it moves to",
  async () => {
    await world.clock.forward(400 * DAY);
    const first = world.move("ahead", "1", "first");
    await world.ask("ahead/manifests/1");
    world.move("ahead", "1", "second");
    await world.clock.forward(10 * MINUTE);
    await world.ask("ahead/manifests/1");
    await world.clock.forward(-400 * DAY);
    expect((await world.tag("ahead", "1")).digest).toBe(first.manifest.digest);
    world.move("ahead", "1", "third");
    await world.clock.forward(DAY);
    await world.ask("ahead/manifests/1");
    expect((await world.tag("ahead", "1")).digest).toBe(first.manifest.digest);
  },
);
