import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { command } from "./harness/cache/commands.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { freePort } from "./harness/free-port.ts";
import { statusSchema } from "../src/api/status.ts";
import { run } from "./harness/processes.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { until } from "./harness/waiting.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

test("entrepot reload says what is in use, what needs a restart, and what is wrong", async () => {
  await using upstream = await startScriptedUpstream();
  const base = localUpstream(upstream.url);
  const config = (port?: number) => ({
    upstreams: { "reg.test": { ...base, ...(port === undefined ? {} : { port }) } },
  });
  const open = freePort();
  await using cache = await startEntrepot({ config: config(open) });
  const reload = async () => {
    const { code, stdout, stderr } = await command(cache, "reload");
    return [code, stdout + stderr];
  };
  // As if the file had not been noticed yet: it is reread half a second after it changed.
  const reconfigured = async (value: object) => {
    await cache.reconfigure(value);
    return reload();
  };
  expect(await reload()).toEqual([0, "The cache runs with this configuration already.\n"]);
  expect(await reconfigured(config(1))).toEqual([
    0,
    `Needs a restart:\n  upstreams.reg.test.port: ${open} → 1 (until then, ${open} stays open)\n`,
  ]);
  expect(await reconfigured(config(open))).toEqual([
    0,
    "The cache runs with this configuration already.\n",
  ]);
  await cache.logged("configuration changed: no restart required any more");
  const [code, output] = await reconfigured({ upstreams: { "reg.test": { tagTtl: "soon" } } });
  expect([code, output]).toEqual([1, expect.stringContaining("upstreams.reg.test.tagTtl:")]);
  expect(output).toStartWith("entrepot: the configuration is not valid; a cache that runs keeps");
  const body = { method: "POST", headers: { "content-type": "application/json" } };
  const answer = await (await cache.getAdmin("/api/v1/reload", body)).json();
  expect(answer).toEqual({
    changes: [],
    needsRestart: [],
    problems: [expect.stringContaining("upstreams.reg.test.tagTtl:")],
  });
  const told = async () => {
    const flags = ["--admin", cache.adminAddress, "--json"];
    const shown = await run([PROGRAM, "status", ...flags]);
    const { problems, health } = statusSchema.parse(JSON.parse(shown.stdout));
    const metrics = await (await cache.getAdmin("/metrics")).text();
    const metric = /^entrepot_configuration_last_reload_successful (\d)$/m.exec(metrics)?.[1];
    return { code: shown.code, problems, sentence: health.sentence, metric };
  };
  const rejected =
    /^the configuration is rejected: \/.*\/entrepot\.yaml:\d+:\d+: upstreams\.reg\.test\.tagTtl: .*\. The cache runs with the configuration of \d\d:\d\d UTC; entrepot reload once it is mended$/;
  expect(await told()).toEqual({
    code: 1,
    problems: [expect.stringMatching(rejected)],
    sentence: expect.stringContaining("The configuration is rejected: /"),
    metric: "0",
  });
  await cache.reconfigure(config(open));
  await until(async () => (await told()).metric === "1", { what: "the mended configuration" });
  expect(await told()).toMatchObject({ code: 0, problems: [] });
  const elsewhere = ["--admin", cache.adminAddress, "--data", "/nonexistent"];
  const other = await run([PROGRAM, "reload", ...elsewhere]);
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining("but --data names /nonexistent: give the --admin of the other one"),
  ]);
  const moved = await run([PROGRAM, "reload", "--admin", "127.0.0.1:1"]);
  expect([moved.code, moved.stderr]).toEqual([
    1,
    "entrepot: no cache responds at http://127.0.0.1:1/api/v1/: start it, give its --admin, or restart it if `admin` has changed\n",
  ]);
});
