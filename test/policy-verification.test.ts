import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { jobsSchema } from "../src/api/jobs.ts";
import { type Entrepot, localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { textImage } from "./harness/images/images.ts";
import { type CommandResult, run, startProcess } from "./harness/processes.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { push } from "./harness/registries/push.ts";
import { startScriptedUpstream } from "./harness/registries/scripted-upstream.ts";
import { Cosign } from "./harness/signatures/cosign.ts";
import { ISSUER, SUBJECT } from "./harness/signatures/crafted-bundle.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";
import { tempDir } from "./harness/temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../bin/entrepot", import.meta.url));

// As for test/registry-clients.test.ts: it is unpacked once.
const cosignTest = await unpackedTests("forky-clients", {
  suite: "forky",
  packages: ["cosign", "oras", "crane"],
});

async function pull(cache: Entrepot, repository: string): Promise<number> {
  const path = `/v2/reg.test/${repository}/manifests/1`;
  const response = await cache.get(path, { headers: { accept: "*/*" } });
  await response.bytes();
  return response.status;
}

cosignTest(
  "changed rules are tried with signatures that are verified for it, and nothing is changed",
  async (tree) => {
    await using services = new SigstoreServices();
    await using registry = await startDockerRegistry();
    await using cosign = await Cosign.open(tree, services);
    await using dir = await tempDir("policy-verification");
    const upstreams = { "reg.test": { ...localUpstream(registry.url), tagTtl: "0s" } };
    await using cache = await startEntrepot({ config: { upstreams } });
    await cosign.generateKeys();
    const pushed = async (repository: string, text: string): Promise<string> => {
      const image = textImage({ text });
      await push(image, { url: registry.url, repository, tag: "1" });
      return `${registry.address}/${repository}@${image.manifest.digest}`;
    };
    const byKey = { key: "cosign", isLogged: false };

    await cosign.sign(await pushed("signed", "signed"), byKey);
    await pushed("unsigned", "unsigned");
    await cosign.sign(await pushed("identity", "identity"), {});
    await cosign.sign(await pushed("moved", "signed too"), byKey);
    for (const repository of ["signed", "unsigned", "identity", "moved"]) {
      expect(await pull(cache, repository)).toBe(200);
    }
    await pushed("moved", "not signed any more");
    expect(await pull(cache, "moved")).toBe(200);

    const verify = { mode: "enforce", keys: [cosign.dir.file("cosign.pub")] };
    const others = [{ issuer: ISSUER, subject: `${SUBJECT}-of-another` }];
    const policies = [
      {
        match: "reg.test/identity",
        verify: { mode: "enforce", keyless: others, trustRoot: cosign.dir.file("root.json") },
      },
      { match: "reg.test/**", verify: { ...verify, transparencyLog: false } },
    ];
    const config = dir.file("changed.yaml");
    await writeFile(config, stringify({ policies, upstreams }));
    const tested = (...more: readonly string[]): Promise<CommandResult> =>
      run([PROGRAM, "policy", "test", "--config", config, "--admin", cache.adminAddress, ...more]);

    const recorded = await tested();
    expect([recorded.code, recorded.stderr]).toEqual([0, ""]);
    expect(recorded.stdout).toContain("--verify does that now");
    expect(recorded.stdout).toContain("0 refused, 5 not known.");

    const verified = await tested("--verify");
    expect([verified.code, verified.stderr]).toEqual([1, ""]);
    const rows = verified.stdout
      .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d( UTC)?/g, "TIME")
      .replaceAll(/sha256:[0-9a-f]+(?:…)?/g, "DIGEST")
      .replaceAll(/ {2,}/g, "  ")
      .trim();
    expect(rows).toMatchInlineSnapshot(`
      "The log of pulls does not reach back to TIME: it begins at TIME.
      IMAGE  PULLS  LAST  WAS SERVED  WOULD BE  WHY
      reg.test/identity:1  1  TIME  DIGEST  refused  reg.test/identity@DIGEST is not signed as it must be: no signature that counts; DIGEST: it is by "https://ci.test/acme/app/release.yml@refs/tags/v1", who is none of the rule's
      reg.test/moved:1  1  TIME  DIGEST  DIGEST  reg.test/moved@DIGEST is not signed as it must be: no signature was found
      reg.test/unsigned:1  1  TIME  DIGEST  refused  reg.test/unsigned@DIGEST is not signed as it must be: no signature was found
      By 2 rules, of 5 pulls of 4 tags since TIME: 2 as they were, 1 with another digest, 2 refused."
    `);

    const json = await tested("--verify", "--json");
    expect(json.code).toBe(1);
    const { items, pulls, same } = JSON.parse(json.stdout);
    expect([pulls, same]).toEqual([5, 2]);
    expect(items).toContainEqual(
      expect.objectContaining({
        image: "reg.test/identity:1",
        outcome: "refused",
        why: expect.stringContaining(SUBJECT),
      }),
    );
    // Nothing of it is a verdict of rules that hold.
    const held = await (await cache.getAdmin("/api/v1/held")).json();
    expect(held).toEqual({ tags: [], unverified: [] });
    expect(cache.logs().filter(({ msg }) => String(msg).includes("signatures"))).toEqual([]);
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(metrics).not.toMatch(/^entrepot_verifications_total.* [1-9]/m);
    expect(await pull(cache, "unsigned")).toBe(200);

    await pushed("late", "late");
    expect(await pull(cache, "late")).toBe(200);
    await registry.stop();
    const away = await tested("--verify", "--json");
    const late = JSON.parse(away.stdout).items.find(
      ({ image }: { readonly image: string }) => image === "reg.test/late:1",
    );
    expect(late).toMatchObject({
      outcome: "unknown",
      why: expect.stringMatching(/^whether it is signed cannot be found out: .*reg\.test/),
    });
  },
  120_000,
);

test("Ctrl-C ends a verification that waits for a registry, and its job", async () => {
  await using upstream = await startScriptedUpstream();
  await using dir = await tempDir("policy-verification");
  const upstreams = { "reg.test": localUpstream(upstream.url) };
  await using cache = await startEntrepot({ config: { upstreams } });
  upstream.add("app", textImage({ text: "app" }), "1");
  expect(await pull(cache, "app")).toBe(200);
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<undefined>();
  upstream.respond(({ kind }) => {
    if (kind !== "referrers") return undefined;
    asked.resolve();
    return answered.promise;
  });

  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keys = [publicKey.export({ type: "spki", format: "pem" })];
  const verify = { mode: "enforce", keys, transparencyLog: false };
  const config = dir.file("changed.yaml");
  await writeFile(config, stringify({ policies: [{ match: "reg.test/**", verify }], upstreams }));
  const flags = ["--config", config, "--admin", cache.adminAddress];
  await using command = await startProcess({
    name: "entrepot policy test",
    command: [PROGRAM, "policy", "test", "--verify", ...flags],
    ready: () => Promise.race([asked.promise.then(() => true), Bun.sleep(50).then(() => false)]),
  });
  command.signal("SIGINT");
  expect(await command.ended()).toBe(130);
  expect(command.output()).toContain("entrepot: interrupted: the job was cancelled");
  const jobs = jobsSchema.parse(await (await cache.getAdmin("/api/v1/jobs")).json());
  expect(jobs.items).toMatchObject([{ kind: "policy-test", state: "cancelled" }]);
  answered.resolve(undefined);
});
