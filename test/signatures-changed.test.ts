import {
  expectFailures,
  SIMPLE,
  KEYS,
  BY_KEY,
  flipped,
} from "./harness/signatures/failing-cases.ts";
import { simplePayload, statementOf } from "./harness/signatures/crafted-bundle.ts";

expectFailures([
  {
    is: "a payload that was changed",
    attach: ({ registry, bundle }) => {
      const crafted = bundle({}, {});
      const payload = JSON.stringify(statementOf(registry.image.digest, { name: "x" }));
      crafted.dsseEnvelope.payload = Buffer.from(payload).toString("base64");
      registry.attachBundle(crafted);
    },
    because: "its log entry is of something else: DSSE payload hash mismatch",
  },
  {
    is: "a payload that was changed, without a log",
    attach: ({ registry, bundle }) => {
      const crafted = bundle({ keys: KEYS, log: "none" });
      crafted.dsseEnvelope.payload = flipped(crafted.dsseEnvelope.payload);
      registry.attachBundle(crafted);
    },
    rule: { ...BY_KEY, transparencyLog: false },
    because: "it is by none of the keys, or what is signed was changed",
  },
  {
    is: "a payload type that was changed",
    attach: ({ registry, bundle }) => {
      const crafted = bundle({ payloadType: "application/x" });
      crafted.dsseEnvelope.payloadType = "application/vnd.in-toto+json";
      registry.attachBundle(crafted);
    },
    because: "what is signed was changed: signature verification failed",
  },
  {
    is: "a signature that was changed",
    attach: ({ registry, bundle }) => {
      const crafted = bundle();
      const [signature] = crafted.dsseEnvelope.signatures;
      if (signature) signature.sig = flipped(signature.sig);
      registry.attachBundle(crafted);
    },
    because: "its log entry is of something else: tlog entry signature mismatch",
  },
  {
    is: "two signatures in an envelope",
    attach: ({ registry, bundle }) => {
      const crafted = bundle();
      crafted.dsseEnvelope.signatures.push({ sig: "AAAA" });
      registry.attachBundle(crafted);
    },
    because: "it is damaged: invalid bundle",
  },
  {
    is: "an old payload that was changed",
    attach: ({ registry, simple }) => {
      const crafted = simple();
      crafted.payload = Buffer.from(
        JSON.stringify({ ...simplePayload(registry.image.digest, "reg.test/app"), optional: {} }),
      );
      registry.attachLayers("sig", SIMPLE, [crafted]);
    },
    rule: BY_KEY,
    because: "it is by none of the keys, or what is signed was changed",
  },
]);
