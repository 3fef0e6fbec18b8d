import { expect } from "bun:test";
import type { ContainerdLine } from "../scripts/components/debian.mjs";
import { command } from "./harness/cache/commands.ts";
import { CoolDownWorld, DAY, HOUR } from "./harness/cool-down/cool-down-world.ts";
import { busyboxImage } from "./harness/images/images.ts";
import { longRealTest, realTest } from "./harness/real-components.ts";
import { failureOf } from "./harness/waiting.ts";
import { hostsToml, startContainerd } from "./harness/runtimes/containerd.ts";

const IMAGE = "reg.test/org/app:1";

const TESTS = { "1.6": longRealTest, "1.7": longRealTest, "2.1": realTest } satisfies Partial<
  Record<ContainerdLine, typeof realTest>
>;

for (const [line, lineTest] of Object.entries(TESTS)) {
  lineTest(
    `containerd ${line} runs yesterday's image of a tag that is held, and after its release the new one`,
    async () => {
      await using world = await CoolDownWorld.start({
        policies: [{ match: "reg.test/**", minAge: "3d", digests: "hold" }],
      });
      // Its registry cannot be reached but through the cache.
      const hosts = {
        "reg.test": hostsToml({ server: "https://reg.test", hosts: [world.cache.url] }),
      };
      await using containerd = await startContainerd({ line: line as ContainerdLine, hosts });
      const run = async (): Promise<string> => {
        await containerd.cri.pullImage(IMAGE);
        return (await containerd.cri.runToEnd(IMAGE)).output;
      };
      world.upstream.add("org/app", await busyboxImage({ text: "yesterday's" }), "1");
      expect(await run()).toBe("yesterday's\n");
      await world.clock.forward(9 * DAY);
      const today = await busyboxImage({ text: "today's" });
      world.upstream.add("org/app", today, "1");

      expect(await run()).toBe("yesterday's\n");
      // A node that has nothing yet gets it as well, and nobody gets the new one by its digest.
      await containerd.cri.removeImage(IMAGE);
      await world.clock.forward(4 * HOUR);
      expect(await run()).toBe("yesterday's\n");
      const byName = `reg.test/org/app@${today.manifest.digest}`;
      expect(await failureOf(containerd.cri.pullImage(byName))).toContain("403 Forbidden");

      const released = await command(world.cache, "release", IMAGE, "--reason", "it was looked at");
      expect([released.code, released.code === 0 ? "" : released.stderr]).toEqual([0, ""]);
      expect(await run()).toBe("today's\n");
      await containerd.cri.pullImage(byName);
    },
    120_000,
  );
}
