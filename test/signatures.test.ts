import { expect } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import type { VerifyEntry } from "../src/config/policies/verify-schema.ts";
import type { VerificationRecord } from "../src/store/verification-store.ts";
import { localUpstream, startEntrepot } from "./harness/cache/entrepot.ts";
import { multiPlatformImage, textImage } from "./harness/images/images.ts";
import { unpackedTests } from "./harness/real-components.ts";
import { type DockerRegistry, startDockerRegistry } from "./harness/registries/docker-registry.ts";
import { push } from "./harness/registries/push.ts";
import { Cosign, type CosignOptions } from "./harness/signatures/cosign.ts";
import { ISSUER, SUBJECT } from "./harness/signatures/crafted-bundle.ts";
import { IDENTITY, ruleOf } from "./harness/signatures/rules.ts";
import { verifyingCache } from "./harness/signatures/signed-registry.ts";
import { SigstoreServices } from "./harness/signatures/sigstore-services.ts";
import { until } from "./harness/waiting.ts";

const PROVENANCE = "https://slsa.dev/provenance/v1";

// As for test/registry-clients.test.ts: it is unpacked once.
const cosignTest = await unpackedTests("forky-clients", {
  suite: "forky",
  packages: ["cosign", "oras", "crane"],
});

interface World extends AsyncDisposable {
  readonly services: SigstoreServices;
  readonly registry: DockerRegistry;
  readonly cosign: Cosign;
  /** Pushes an image, and returns its digest. */
  pushed(text: string, repository?: string): Promise<Pushed>;
  verified(image: Pushed, rule: Partial<VerifyEntry>): Promise<VerificationRecord | undefined>;
}

interface Pushed {
  readonly repository: string;
  readonly digest: ReturnType<typeof textImage>["manifest"]["digest"];
  /** As cosign is told. */
  readonly reference: string;
}

async function world(tree: string): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const services = stack.use(new SigstoreServices());
  const registry = stack.use(await startDockerRegistry());
  const cosign = stack.use(await Cosign.open(tree, services));
  const owned = stack.move();
  return {
    services,
    registry,
    cosign,
    pushed: async (text, repository = "app") => {
      const image = textImage({ text });
      await push(image, { url: registry.url, repository, tag: text });
      const { digest } = image.manifest;
      return { repository, digest, reference: `${registry.address}/${repository}@${digest}` };
    },
    verified: async ({ repository, digest }, rule) => {
      await using cache = await verifyingCache(registry.url, { repository });
      const root = { "/root.json": JSON.stringify(services.trustRoot()) };
      return await cache.verify(digest, ruleOf(rule, root));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

cosignTest(
  "signatures and attestations of cosign 3 and 2 count, in whatever form",
  async (tree) => {
    await using at = await world(tree);
    const key = await at.cosign.generateKeys();
    const byKey = { keys: [key], trustRoot: "/root.json" };
    const byIdentity = { keyless: [IDENTITY], trustRoot: "/root.json" };
    const forms: [name: string, rule: Partial<VerifyEntry>, options: CosignOptions][] = [
      ["key", byKey, { key: "cosign" }],
      ["key-old", byKey, { key: "cosign", isOld: true }],
      ["identity", byIdentity, {}],
      ["identity-old", byIdentity, { isOld: true }],
      ["unlogged", { keys: [key], transparencyLog: false }, { key: "cosign", isLogged: false }],
      [
        "unlogged-old",
        { keys: [key], transparencyLog: false },
        { key: "cosign", isLogged: false, isOld: true },
      ],
    ];
    for (const [name, rule, options] of forms) {
      const image = await at.pushed(name);
      const attested = { ...rule, attestations: [PROVENANCE] };
      expect(await at.verified(image, rule)).toMatchObject({ detail: "no signature was found" });
      const before = Math.floor(Date.now() / 1000) * 1000;
      await at.cosign.sign(image.reference, options);
      const signer = options.key === undefined ? `${SUBJECT} (${ISSUER})` : "the key entrepot.yaml";
      const found = await at.verified(image, rule);
      expect([name, found]).toMatchObject([
        name,
        { outcome: "passed", detail: `signed by ${signer}` },
      ]);
      if (options.isLogged === false) expect(found?.loggedAt).toBeUndefined();
      else expect(found?.loggedAt).toBeWithin(before, Date.now() + 1);

      const missing = await at.verified(image, attested);
      expect(missing?.detail).toContain(`no attestation ${PROVENANCE}`);
      await at.cosign.attest(image.reference, "slsaprovenance1", options);
      expect([name, await at.verified(image, attested)]).toMatchObject([
        name,
        {
          outcome: "passed",
          detail: `signed by ${signer}; attestation ${PROVENANCE} by ${signer}`,
        },
      ]);
      // Those of other images say nothing of this one.
      const other = await at.pushed(`${name}-2`);
      expect((await at.verified(other, rule))?.outcome).toBe("failed");
    }
  },
  180_000,
);

cosignTest("keys that cosign imports count", async (tree) => {
  await using at = await world(tree);
  // Not Ed25519: what cosign 3 makes by it, it does not verify itself.
  const cases = [
    { name: "p384", isOld: false, keys: generateKeyPairSync("ec", { namedCurve: "P-384" }) },
    { name: "rsa", isOld: true, keys: generateKeyPairSync("rsa", { modulusLength: 2048 }) },
  ];
  for (const { name, isOld, keys } of cases) {
    const pem = keys.privateKey.export({ type: "pkcs8", format: "pem" });
    const key = await at.cosign.importKeys(name, pem);
    const image = await at.pushed(name);
    await at.cosign.sign(image.reference, { key: name, isLogged: false, isOld });
    const record = await at.verified(image, { keys: [key], transparencyLog: false });
    expect([name, record]).toMatchObject([name, { outcome: "passed" }]);
  }
});

cosignTest(
  "an image that is copied to another repository with its signatures is refused there",
  async (tree) => {
    await using at = await world(tree);
    const keys = [await at.cosign.generateKeys()];
    const rule = { keys, transparencyLog: false };
    const original = await at.pushed("one");
    const copied = await at.pushed("one", "other");
    const unlogged = { key: "cosign", isLogged: false };

    await at.cosign.sign(original.reference, { ...unlogged, isOld: true });
    await at.cosign.run(
      "copy",
      "--allow-http-registry",
      "--force",
      original.reference,
      `${at.registry.address}/other:one`,
    );
    expect((await at.verified(original, rule))?.outcome).toBe("passed");
    expect((await at.verified(copied, rule))?.detail).toContain(
      `it is of the repository "${at.registry.address}/app"`,
    );
    // Cosign 3 writes none into its signatures, unless it is told to.
    await at.cosign.sign(original.reference, {
      ...unlogged,
      arguments: ["-a", `repository=${at.registry.address}/app`],
    });
    const named = { ...rule, repository: "named" } as const;
    expect((await at.verified(original, named))?.outcome).toBe("passed");
  },
);

cosignTest(
  "what is enforced is served only once it is signed, and stays so without its registry",
  async (tree) => {
    await using at = await world(tree);
    const key = await at.cosign.generateKeys();
    await Bun.write(at.cosign.dir.file("used.pub"), key);
    const verify = {
      mode: "enforce",
      keys: [at.cosign.dir.file("used.pub")],
      transparencyLog: false,
    };
    const config = {
      upstreams: { "reg.test": { ...localUpstream(at.registry.url), tagTtl: "0s" } },
      policies: [{ match: "reg.test/**", verify }],
    };
    await using cache = await startEntrepot({ config });
    const image = await multiPlatformImage();
    await push(image, { url: at.registry.url, repository: "app", tag: "1" });
    const reference = `${at.registry.address}/app@${image.manifest.digest}`;
    const pull = (what: string): Promise<Response> =>
      cache.get(`/v2/reg.test/app/manifests/${what}`, { headers: { accept: "*/*" } });

    const refused = await pull("1");
    expect([refused.status, await refused.text()]).toEqual([
      403,
      expect.stringContaining("no signature was found"),
    ]);
    expect((await pull(image.manifest.digest)).status).toBe(403);

    await at.cosign.sign(reference, { key: "cosign", isLogged: false, isOld: true });
    const metrics = await (await cache.getAdmin("/metrics")).text();
    expect(
      metrics.match(/^entrepot_(?:signature_refusals|verifications)_total.*[1-9]\d*$/gm),
    ).toEqual([
      'entrepot_signature_refusals_total{upstream="reg.test",reason="failed"} 2',
      'entrepot_verifications_total{mode="enforce",outcome="failed"} 1',
    ]);
    const logged = await cache.logged("signatures are not as a rule wants them");
    expect(logged).toMatchObject({ mode: "enforce", detail: "no signature was found" });
    // The registry is asked for new signatures of what fails every few seconds.
    const isServed = async (): Promise<Response | undefined> => {
      const response = await pull("1");
      return response.status === 403 ? undefined : response;
    };
    const served = await until(isServed, { what: "the image is served", within: 30_000 });
    expect(served.status).toBe(200);
    expect(served.headers.get("docker-content-digest")).toBe(image.manifest.digest);
    // Its platforms are signed by it.
    for (const child of image.children)
      expect((await pull(child.manifest.digest)).status).toBe(200);
    // Whoever verifies signatures can have them.
    const tag = `${image.manifest.digest.replace(":", "-")}.sig`;
    expect((await pull(tag)).status).toBe(200);
    // An image under such a name is none of them.
    const disguise = `sha256-${"0".repeat(64)}.sig`;
    const target = { url: at.registry.url, repository: "app", tag: disguise };
    await push(textImage({ text: "evil" }), target);
    expect((await pull(disguise)).status).toBe(403);

    await at.registry.stop();
    expect((await pull("1")).status).toBe(200);
  },
  120_000,
);

cosignTest(
  "what is only observed is served, and what would be refused is told; a changed key is taken up",
  async (tree) => {
    await using at = await world(tree);
    const key = await at.cosign.generateKeys();
    const file = at.cosign.dir.file("used.pub");
    await Bun.write(file, await at.cosign.generateKeys("other"));
    const verify = { mode: "observe", keys: [file], transparencyLog: false };
    const upstreams = { "reg.test": { ...localUpstream(at.registry.url), tagTtl: "0s" } };
    const configOf = (mode: string): object => ({
      upstreams,
      policies: [{ match: "reg.test/**", verify: { ...verify, mode } }],
    });
    await using cache = await startEntrepot({ config: configOf("observe") });
    const { reference, digest } = await at.pushed("one");
    await at.cosign.sign(reference, { key: "cosign", isLogged: false });
    const pull = async (): Promise<number> => {
      const path = "/v2/reg.test/app/manifests/one";
      return (await cache.get(path, { headers: { accept: "*/*" } })).status;
    };

    expect(await pull()).toBe(200);
    expect(await cache.logged("signatures are not as a rule wants them")).toMatchObject({
      image: `reg.test/app@${digest}`,
      mode: "observe",
      detail: expect.stringContaining("it is by none of the keys"),
    });
    await cache.reconfigure(configOf("enforce"));
    await until(async () => (await pull()) === 403, { what: "it is refused" });
    await Bun.write(file, key);
    await until(async () => (await pull()) === 200, { what: "it is served" });
  },
  120_000,
);
