import { afterAll, beforeAll, expect } from "bun:test";
import { type Entrepot, localUpstream, startEntrepot } from "../harness/cache/entrepot.ts";
import { textImage } from "../harness/images/images.ts";
import { real, realTest } from "../harness/real-components.ts";
import { startScriptedUpstream } from "../harness/registries/scripted-upstream.ts";
import { startProcess } from "../harness/processes.ts";
import { until } from "../harness/waiting.ts";
import type { IsolatedNode } from "./isolated.ts";
import { PROGRAM } from "./program.ts";
import { CERTS, REGISTRIES, RESTART, startK3s } from "./k3s-node.ts";

const image = "reg.test/org/hello:1";
/** Indented and commented as people do it. */
const own = `# maintained by hand
mirrors:
    docker.io:
        endpoint:
            - "https://former.test"   # the old mirror
    # an empty entry, as for the embedded registry
    quay.io:
configs:
    "former.test":
        auth:
            username: u
            password: never-shown
`;

let cache: Entrepot;
let config: object;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  if (!real.available) return;
  const upstream = stack.use(await startScriptedUpstream());
  upstream.add("org/hello", textImage({ text: "hello" }), "1");
  const names = ["docker.io", "quay.io", "reg.test"];
  const upstreams = Object.fromEntries(names.map((name) => [name, localUpstream(upstream.url)]));
  config = { upstreams };
  cache = stack.use(await startEntrepot({ config }));
}, 60_000);

afterAll(() => stack.disposeAsync(), 30_000);

realTest(
  "registries.yaml is edited, and what k3s generates from it is checked and proven",
  async () => {
    await using node = await startK3s({ "rancher/k3s/registries.yaml": own });
    const before = node.tree("/etc/rancher");
    const generated = node.tree(CERTS);
    const names = ["docker.io", "quay.io", "reg.test"];
    const probes = ["--probe", ...names.map((name) => `${name}/org/hello:1`)];
    const options = ["--runtime", "k3s", ...RESTART];
    const wire = ["--cache", cache.url, ...probes, ...options];

    const plan = await node.entrepot("plan", "--cache", cache.url, ...options);
    expect(plan.text).not.toContain("never-shown");
    expect(plan).toMatchObject({ code: 0, text: expect.stringContaining("restart k3s, because") });
    // Without consent, nothing is restarted and so nothing is written.
    const declined = await node.entrepot("apply", ...wire);
    expect(declined).toMatchObject({ code: 1, text: expect.stringContaining("not confirmed") });
    expect(node.tree("/etc/rancher")).toEqual(before);

    const applied = await node.entrepot("apply", ...wire, "--yes");
    expect(applied).toMatchObject({ code: 0 });
    expect(applied.text.match(/: proven /g)).toHaveLength(3);
    expect(node.read(REGISTRIES)).toBe(`# maintained by hand
mirrors:
    docker.io:
        endpoint:
            - "${cache.url}"
            - "https://former.test"   # the old mirror
    # an empty entry, as for the embedded registry
    quay.io:
        endpoint:
            - "${cache.url}"
    "reg.test":
        endpoint:
            - "${cache.url}"
configs:
    "former.test":
        auth:
            username: u
            password: never-shown
`);
    const again = await node.entrepot("apply", ...wire);
    expect(again).toMatchObject({ code: 0, text: expect.stringContaining("Nothing to change") });
    const check = await node.entrepot("check", "--json", ...options);
    expect(JSON.parse(check.text)).toMatchObject({ runtime: "k3s", findings: [] });
    const verified = await node.entrepot("verify", ...options, ...probes);
    expect(verified).toMatchObject({ code: 0 });
    await watchTakesOut(node, options);

    const back = await node.entrepot("rollback", ...options, "--yes");
    expect(back).toMatchObject({ code: 0, text: expect.stringContaining("byte for byte") });
    expect(node.tree("/etc/rancher")).toEqual(before);
    expect(node.tree(CERTS)).toEqual(generated);
  },
);

realTest(
  "a k3s that reads another file is reverted; rewrites and Rancher's own nodes stop the plan",
  async () => {
    const rewrite = `mirrors:\n  reg.test:\n    endpoint: ["https://a.test"]\n    rewrite:\n      "^org/(.*)": "p/$1"\n`;
    await using node = await startK3s({ "rancher/k3s/registries.yaml": "mirrors: {}\n" });
    const options = ["--runtime", "k3s", ...RESTART];
    const wire = ["--cache", cache.url, "--upstream", "reg.test", ...options];
    // The unit that systemd would restart.
    node.write("/etc/systemd/system/k3s-agent.service", "[Service]\nKillMode=process\n");
    node.write("/run/systemd/system/x", "");
    const unit = await node.entrepot("plan", ...wire.slice(0, -2), "--json");
    expect(JSON.parse(unit.text)).toMatchObject({
      restartMethod: "systemctl restart k3s-agent.service",
    });
    node.write("/etc/rancher/k3s/config.yaml", "private-registry: /etc/rancher/k3s/other.yaml\n");
    const other = await node.entrepot("apply", ...wire, "--yes", "--probe", image);
    expect(other).toMatchObject({ code: 1, text: expect.stringContaining("--private-registry") });
    expect(node.read("/etc/rancher/k3s/other.yaml")).toBeUndefined();
    node.remove("/etc/rancher/k3s/config.yaml");

    node.write(REGISTRIES, rewrite);
    const rewritten = await node.entrepot("plan", ...wire);
    expect(rewritten).toMatchObject({
      code: 1,
      text: expect.stringContaining("registries.yaml:2"),
    });
    const replaced = await node.entrepot("plan", ...wire, "--replace");
    expect(replaced.text).toContain("-    rewrite:");
    node.write(REGISTRIES, "mirrors:\n\treg.test:\n");
    const broken = await node.entrepot("plan", ...wire);
    expect(broken).toMatchObject({ code: 1, text: expect.stringContaining("registries.yaml:2:1") });
    node.write(REGISTRIES, "mirrors: {}\n");
    node.write("/etc/rancher/k3s/config.yaml.d/50-rancher.yaml", "{}\n");
    const managed = await node.entrepot("plan", ...wire);
    expect(managed).toMatchObject({
      code: 1,
      text: expect.stringContaining("rkeConfig.registries"),
    });
  },
);

/** A watcher takes the cache out of what k3s has generated, and puts it back. */
async function watchTakesOut(node: IsolatedNode, options: readonly string[]): Promise<void> {
  const hosts = `${CERTS}/docker.io/hosts.toml`;
  const wired = node.read(hosts);
  const { address, data } = cache;
  const args = ["node", "watch", "--grace", "500ms", "--interval", "100ms", ...options];
  await using watcher = await startProcess({
    name: "entrepot node watch",
    command: [...node.enter, PROGRAM, ...args],
    ready: (started) => started.output().includes("watching"),
  });
  await cache.stop();
  const removed = () => watcher.output().includes("from 3 files");
  await until(removed, { what: "the cache to be removed", detail: () => watcher.output() });
  expect(node.read(hosts)).not.toContain(cache.url);
  expect(node.read(hosts)).toContain("former.test");
  cache = stack.use(await startEntrepot({ config, listen: address, data }));
  await until(() => node.read(hosts) === wired, { what: "the cache to be added again" });
}
