import {
  expectFailures,
  KEYS,
  withEntry,
  SIMPLE,
  ENVELOPE,
  PROVENANCE,
  OTHER_DIGEST,
  OTHER_KEYS,
  BY_KEY,
} from "./harness/signatures/failing-cases.ts";

expectFailures([
  {
    is: "a bundle that is cut off",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(JSON.stringify(bundle()).slice(0, -20));
    },
    because: "it is not JSON that can be read",
  },
  {
    is: "a bundle of nothing but brackets",
    attach: ({ registry }) => void registry.attachBundle("[".repeat(1_000_000)),
    because: "it is not JSON that can be read",
  },
  {
    is: "a bundle that says nothing",
    attach: ({ registry }) => void registry.attachBundle({}),
    because: "it is damaged: invalid bundle",
  },
  {
    is: "a bundle with an envelope and a signature of a message",
    attach: ({ registry, bundle }) => {
      const messageSignature = {
        messageDigest: { algorithm: "SHA2_256", digest: "AAAA" },
        signature: "AAAA",
      };
      registry.attachBundle({ ...bundle(), messageSignature });
    },
    because: "its log entry is of something else",
  },
  {
    is: "a layer that claims another type",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle(), { type: "application/octet-stream" });
    },
    because: 'its layer is of the type "application/octet-stream"',
  },
  {
    is: "a bundle as an old payload",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle(), { type: SIMPLE });
    },
    because: "its layer has no signature",
  },
  {
    is: "a manifest without layers",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle(), { layers: 0 }),
    because: "its manifest has no layers",
  },
  {
    is: "a manifest with a thousand layers",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle(), { layers: 1000 }),
    because: "its manifest has 1000 layers, more than 64",
  },
  {
    is: "a bundle of 3 MiB",
    attach: ({ registry }) => void registry.attachBundle(" ".repeat(3 * 1024 * 1024)),
    because: "its layer has 3145728 bytes, more than 2097152",
  },
  {
    is: "a bundle that was removed",
    attach: ({ registry }) => {
      const digest = OTHER_DIGEST;
      registry.referrers.push({
        digest,
        size: 500,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        artifactType: "application/vnd.dev.sigstore.bundle.v0.3+json",
      });
    },
    because: "has no manifest",
  },
  {
    is: "10,000 bundles",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ keys: OTHER_KEYS }));
      const [one = {}] = registry.referrers;
      for (let count = 1; count < 10_000; count += 1) {
        const digest = `sha256:${count.toString(16).padStart(64, "0")}`;
        registry.referrers.push({ ...one, digest });
      }
    },
    rule: BY_KEY,
    because: "9936 more were not looked at",
  },
  {
    is: "an old envelope that is not JSON",
    attach: ({ registry }) => {
      registry.attachLayers("att", ENVELOPE, [{ payload: Buffer.from("{"), annotations: {} }]);
    },
    rule: { ...BY_KEY, attestations: [PROVENANCE] },
    because: "it is not JSON that can be read",
  },
  {
    is: "an old envelope without a payload",
    attach: ({ registry }) => {
      registry.attachLayers("att", ENVELOPE, [{ payload: Buffer.from("{}"), annotations: {} }]);
    },
    rule: { ...BY_KEY, attestations: [PROVENANCE] },
    because: "it is damaged",
  },
  {
    is: "a log entry whose kind is for terminals",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle({ keys: KEYS }), (entry) => {
          entry.kindVersion.kind = `\u001b[2J\r\nset-cookie: a=b${"x".repeat(2000)}`;
        }),
      );
    },
    rule: BY_KEY,
    because: String.raw`expected: \u001b[2J\u000d\u000aset-cookie: a=bxxx`,
  },
]);
