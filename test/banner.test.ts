import { expect, test } from "bun:test";
import { banner } from "../src/commands/serve/banner.ts";
import { loadSettings } from "../src/config/load.ts";
import { localUpstream, startEntrepot } from "./harness/entrepot.ts";
import { mustRun } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/scripted-upstream.ts";

test("the command that the start banner suggests works, whichever registries are cached", async () => {
  await using upstream = await startScriptedUpstream();
  const config = { upstreams: { "reg.test": localUpstream(upstream.url) } };
  await using cache = await startEntrepot({ config });
  const settings = loadSettings({ flags: { config: cache.configFile }, env: {} });
  const listening = { listen: cache.address, admin: cache.adminAddress, ports: {} };
  const text = banner("1.2.3", settings, listening);
  const command = /^Or test it from here: +curl (.*)$/m.exec(text)?.[1]?.split(" ") ?? [];
  const output = await mustRun(["curl", ...command]);
  expect(JSON.parse(output)).toEqual({ repositories: [] });
});
