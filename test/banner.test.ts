import { expect, test } from "bun:test";
import { banner } from "../src/commands/serve/banner.ts";
import { load } from "../src/config/configtest/load-text.ts";
import { loadSettings } from "../src/config/load.ts";
import { formatAddress } from "../src/config/parsing/address.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { mustRun } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";

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

test("the banner's example is a registry that is served where the command asks", () => {
  const commandFor = (yaml: string): string => {
    const settings = load(yaml);
    const ports = Object.fromEntries(
      [...settings.upstreams.values()].flatMap(({ name, listen }) =>
        listen ? [[name, formatAddress(listen)]] : [],
      ),
    );
    const listening = { listen: "10.0.0.5:5000", admin: "127.0.0.1:5001", ports };
    return /^Or test it from here: +(.*)$/m.exec(banner("1.2.3", settings, listening))?.[1] ?? "";
  };
  const own = "ghcr.io: { listen: 127.0.0.1:5010 }";
  expect(commandFor(`upstreams: { ${own}, quay.io: }\n`)).toBe(
    "curl -s http://10.0.0.5:5000/v2/quay.io/_catalog",
  );
  expect(commandFor(`upstreams: { ${own} }\n`)).toBe("curl -s http://127.0.0.1:5010/v2/_catalog");
});
