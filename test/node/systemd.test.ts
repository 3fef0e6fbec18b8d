import { describe, expect } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { busyboxImage, textImage } from "../harness/images/images.ts";
import { realTest } from "../harness/real-components.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { type BootedNode, bootNode } from "./booted.ts";
import { startSleeper } from "./sleeper.ts";
import { LINES, PAUSE, isLong } from "./supervised.ts";
import { tree } from "./tree.ts";

const cri = `plugins."io.containerd.grpc.v1.cri"`;
const DROP_IN = "/etc/systemd/system/containerd.service.d/99-test.conf";

/** Writes a drop-in of the unit as an operator would, with or without a daemon-reload. */
async function dropIn(node: BootedNode, text: string, isReloaded: boolean): Promise<void> {
  writeFileSync(node.inside(DROP_IN), text);
  if (isReloaded) await node.run("systemctl", "daemon-reload");
}

describe.each(isLong ? LINES : (["1.6"] as const))("containerd %s under systemd", (line) => {
  realTest(
    "is restarted through systemctl by apply and rollback, while a container keeps running",
    async () => {
      await using upstream = await startScriptedUpstream();
      upstream.add("org/hello", textImage({ text: "hello" }), "1");
      upstream.add("org/runs", await busyboxImage({ text: "runs" }), "1");
      const upstreams = { [upstream.address]: localUpstream(upstream.url) };
      await using cache = await startEntrepot({ config: { upstreams } });
      const config = `version = 2
# written by hand
[${cri}]
  sandbox_image = "${PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [${cri}.registry.mirrors."${upstream.address}"]
    endpoint = ["http://127.0.0.1:1"]
`;
      await using node = await bootNode(line, config);
      await node.importPause();
      await node.pull(`${upstream.address}/org/runs:1`);
      const sleeper = await startSleeper(node, `${upstream.address}/org/runs:1`);
      const expectSleeping = async (): Promise<void> => {
        expect(await node.run("cat", `/proc/${sleeper.pid}/cmdline`)).toContain("sleep");
      };
      await expectSleeping();
      const etc = node.inside("/etc/containerd");
      const before = tree(etc);
      const options = ["--cache", cache.url, "--probe", `${upstream.address}/org/hello:1`, "--yes"];
      const wire = () => node.entrepot("apply", ...options);

      // The KillMode that systemd has loaded counts, and not the one in its files.
      await dropIn(node, "[Service]\nKillMode=control-group\n", true);
      expect(await wire()).toMatchObject({
        code: 1,
        text: expect.stringContaining(`${DROP_IN}:2`),
      });
      await dropIn(node, "[Service]\nKillMode=process\n", false);
      const notReloaded = expect.stringContaining(
        "systemd still has KillMode=control-group loaded",
      );
      expect(await wire()).toMatchObject({ code: 1, text: notReloaded });
      expect(await node.entrepot("check")).toMatchObject({ code: 1, text: notReloaded });
      expect(tree(etc)).toEqual(before);
      await node.run("systemctl", "daemon-reload");

      const first = await node.unit("MainPID");
      expect(await wire()).toMatchObject({
        code: 0,
        text: expect.stringContaining(
          "restarting containerd (systemctl restart containerd.service)",
        ),
      });
      const second = await node.unit("MainPID");
      expect([await node.unit("ActiveState"), second === first]).toEqual(["active", false]);
      await expectSleeping();
      expect(await node.entrepot("check")).toMatchObject({
        code: 0,
        text: expect.stringContaining("KillMode=process"),
      });
      expect(await node.entrepot("verify", ...options.slice(2, 4))).toMatchObject({ code: 0 });
      expect(await node.entrepot("rollback", "--yes")).toMatchObject({ code: 0 });
      expect(tree(etc)).toEqual(before);
      expect([await node.unit("ActiveState"), (await node.unit("MainPID")) === second]).toEqual([
        "active",
        false,
      ]);
      await expectSleeping();

      // containerd does not start: the files are reverted, and a later rollback finishes the rest.
      await dropIn(node, "[Service]\nExecStartPre=/bin/false\n", true);
      const failed = await wire();
      expect(failed.code).toBe(1);
      expect(failed.text).toContain("systemctl restart containerd.service exited with 1");
      expect(failed.text).toContain("entrepot node rollback finishes this");
      expect(tree(etc)).toEqual(before);
      rmSync(node.inside(DROP_IN));
      await node.run("systemctl", "daemon-reload");
      expect(await node.entrepot("rollback", "--yes")).toMatchObject({ code: 0 });
      expect(await node.unit("ActiveState")).toBe("active");
      expect(tree(etc)).toEqual(before);
      await expectSleeping();
    },
    120_000,
  );
});
