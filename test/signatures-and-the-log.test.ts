import {
  expectFailures,
  SIMPLE,
  OTHER_DIGEST,
  HOUR_MS,
  KEYS,
  OTHER_KEYS,
  BY_KEY,
  withEntry,
  flipped,
  proofOf,
} from "./harness/signatures/failing-cases.ts";
import { pemOf, spki } from "./harness/signatures/certificate-maker.ts";
import { craftBundle, statementOf } from "./harness/signatures/crafted-bundle.ts";
import { TransparencyLog } from "./harness/signatures/transparency-log.ts";

expectFailures([
  {
    is: "no log entry",
    attach: ({ registry, bundle }) =>
      void registry.attachBundle(bundle({ keys: KEYS, log: "none" })),
    rule: BY_KEY,
    because: "it is not in the transparency log: expected 1 tlog entries, got 0",
  },
  {
    is: "no log entry of an identity, and so no time",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle({ log: "none" })),
    because: "nobody vouches for its time: expected 1 timestamps, got 0",
  },
  {
    is: "an entry of another log",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ log: new TransparencyLog("127.0.0.1") }));
    },
    because: "its log entry is not signed by the log",
  },
  {
    is: "an entry of another log under the name of this one",
    attach: ({ registry, bundle, services }) => {
      const crafted = bundle({ log: new TransparencyLog("127.0.0.1") });
      registry.attachBundle(
        withEntry(crafted, (entry) => {
          entry.logId.keyId = services.log.id.toString("base64");
        }),
      );
    },
    because: "its log entry is not signed by the log: inclusion promise could not be verified",
  },
  {
    is: "the log entry of another signature",
    attach: ({ registry, bundle, services }) => {
      const other = craftBundle(services, statementOf(OTHER_DIGEST));
      const crafted = bundle();
      crafted.verificationMaterial.tlogEntries = other.verificationMaterial.tlogEntries;
      registry.attachBundle(crafted);
    },
    because: "its log entry is of something else: tlog entry signature mismatch",
  },
  {
    is: "a log entry that names another key",
    attach: ({ registry, bundle }) => {
      const loggedKey = pemOf(spki(OTHER_KEYS.publicKey), "PUBLIC KEY");
      registry.attachBundle(bundle({ keys: KEYS, loggedKey }));
    },
    rule: BY_KEY,
    because: "its log entry is of another key",
  },
  {
    is: "a log entry whose body was changed",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          const body = Buffer.from(entry.canonicalizedBody, "base64").toString();
          entry.canonicalizedBody = Buffer.from(`${body} `).toString("base64");
        }),
      );
    },
    because: "its log entry is not signed by the log",
  },
  {
    is: "a log entry of another time",
    attach: ({ registry, bundle }) => {
      const from = new Date(Date.now() - 30 * 24 * HOUR_MS);
      registry.attachBundle(
        withEntry(bundle({ from }), (entry) => {
          entry.integratedTime = String(Math.floor(from.getTime() / 1000) + 60);
        }),
      );
    },
    because: "its log entry is not signed by the log",
  },
  {
    is: "a promise of the log that was changed",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), ({ inclusionPromise }) => {
          if (!inclusionPromise) return;
          inclusionPromise.signedEntryTimestamp = flipped(inclusionPromise.signedEntryTimestamp);
        }),
      );
    },
    because: "its log entry is not signed by the log",
  },
  {
    is: "a proof of inclusion with another hash",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          const proof = proofOf(entry);
          proof.hashes = proof.hashes.map(flipped);
        }),
      );
    },
    because: "the proof of its log entry is wrong: calculated root hash does not match",
  },
  {
    is: "a proof of inclusion that is too short",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          proofOf(entry).hashes.pop();
        }),
      );
    },
    because: "the proof of its log entry is wrong: invalid hash count",
  },
  {
    is: "a checkpoint that the log has not signed",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          const { checkpoint } = proofOf(entry);
          checkpoint.envelope = checkpoint.envelope.replace("\n4\n", "\n5\n");
        }),
      );
    },
    because: "the proof of its log entry is wrong: invalid checkpoint signature",
  },
  {
    is: "a log entry without promise and proof",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle({ keys: KEYS }), (entry) => {
          delete entry.inclusionPromise;
          delete entry.inclusionProof;
        }),
      );
    },
    rule: BY_KEY,
    because: "it is damaged: invalid bundle",
  },
  {
    is: "a log entry with a proof alone, of an identity: nothing vouches for its time",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          delete entry.inclusionPromise;
        }),
      );
    },
    because: "nobody vouches for its time: expected 1 timestamps, got 0",
  },
  {
    is: "the same log entry twice",
    attach: ({ registry, bundle }) => {
      const crafted = bundle();
      const { tlogEntries } = crafted.verificationMaterial;
      tlogEntries.push(...tlogEntries);
      registry.attachBundle(crafted);
    },
    because: "nobody vouches for its time: duplicate timestamp",
  },
  {
    is: "thousands of log entries",
    attach: ({ registry, bundle }) => {
      const crafted = bundle();
      const [entry] = crafted.verificationMaterial.tlogEntries;
      if (entry)
        crafted.verificationMaterial.tlogEntries = Array.from({ length: 500 }, () => entry);
      registry.attachBundle(crafted);
    },
    because: "it has 500 log entries, more than 8",
  },
  {
    is: "a checkpoint with hundreds of signatures",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        withEntry(bundle(), (entry) => {
          const { checkpoint } = proofOf(entry);
          const [note, signature = ""] = checkpoint.envelope.split("\n\n");
          checkpoint.envelope = `${note}\n\n${signature.repeat(300)}`;
        }),
      );
    },
    because: "bytes of checkpoint, more than 16384",
  },
  {
    is: "an old signature whose log entry is not JSON",
    attach: ({ registry, simple }) => {
      const crafted = simple();
      crafted.annotations["dev.sigstore.cosign/bundle"] = "{";
      registry.attachLayers("sig", SIMPLE, [crafted]);
    },
    rule: BY_KEY,
    because: "its log entry is not JSON",
  },
]);
