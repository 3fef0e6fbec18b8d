import { afterAll, beforeAll, expect } from "bun:test";
import { CoolDownWorld, DAY, MINUTE } from "./harness/cool-down/cool-down-world.ts";
import { textImage } from "./harness/images/images.ts";
import { real, realTest } from "./harness/real-components.ts";
import { until } from "./harness/waiting.ts";

/** All tests share its clock; each has repositories of its own. */
let world: CoolDownWorld;

beforeAll(async () => {
  const policies = [
    { match: "reg.test/named/**", minAge: "3d", digests: "hold" },
    { match: "reg.test/**", minAge: "3d" },
  ];
  if (!real.available) return;
  // That something is not there is believed for as long.
  world = await CoolDownWorld.start({ policies, upstream: { tagTtl: "1s" } });
}, 240_000);

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

realTest("what is seen while a clock is behind is not older once it is right", async () => {
  const before = world.move("named/behind", "1", "before");
  await world.ask("named/behind/manifests/1");
  await world.clock.forward(9 * DAY);
  expect((await world.tag("named/behind", "1")).digest).toBe(before.manifest.digest);
  await world.clock.forward(-5 * DAY);
  await world.tag("named/behind", "1");
  const { digest } = world.move("named/behind", "1", "while it was behind").manifest;
  await world.ask("named/behind/manifests/1");
  await world.clock.forward(5 * DAY + MINUTE);
  expect((await world.tag("named/behind", "1")).digest).toBe(before.manifest.digest);
  expect((await world.ask(`named/behind/manifests/${digest}`)).status).toBe(403);
  await world.clock.forward(3 * DAY);
  expect((await world.tag("named/behind", "1")).digest).toBe(digest);
});

realTest("a digest does not become old enough by being asked for before it is there", async () => {
  const image = textImage({ text: "to be pushed" });
  const { digest } = image.manifest;
  const status = async (): Promise<number> =>
    (await world.ask(`named/app/manifests/${digest}`)).status;
  expect(await status()).toBe(404);
  expect((await world.ask(`named/app/referrers/${digest}`)).status).toBe(403);
  await world.clock.forward(9 * DAY);
  world.upstream.add("named/app", image, "unseen");
  await until(async () => (await status()) === 403, { what: "the digest to be there, and held" });
  await world.clock.forward(2 * DAY);
  expect(await status()).toBe(403);
  await world.clock.forward(DAY);
  expect(await status()).toBe(200);
});

realTest("an image waits behind a tag that is named as signatures are, too", async () => {
  const tag = `sha256-${"0".repeat(64)}.sig`;
  const { manifest } = world.move("disguised", tag, "an image");
  const { status } = await world.tag("disguised", tag);
  expect(status).toBe(403);
  await world.clock.forward(3 * DAY + MINUTE);
  expect((await world.tag("disguised", tag)).digest).toBe(manifest.digest);
});
