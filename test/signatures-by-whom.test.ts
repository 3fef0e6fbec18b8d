import {
  expectFailures,
  SIMPLE,
  HOUR_MS,
  KEYS,
  OTHER_KEYS,
  BY_KEY,
} from "./harness/signatures/failing-cases.ts";
import { CertificateLog } from "./harness/signatures/certificate-log.ts";
import { CertificateMaker } from "./harness/signatures/certificate-maker.ts";
import { IDENTITY } from "./harness/signatures/rules.ts";

expectFailures([
  {
    is: "a signature by another key",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle({ keys: OTHER_KEYS })),
    rule: BY_KEY,
    because: "it is by none of the keys",
  },
  {
    is: "an old signature by another key",
    attach: ({ registry, simple }) => {
      registry.attachLayers("sig", SIMPLE, [simple({ keys: OTHER_KEYS })]);
    },
    rule: BY_KEY,
    because: "it is by none of the keys",
  },
  {
    is: "a signature by a key, where an identity is wanted",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle({ keys: KEYS })),
    because: "it is by a key, and the rule wants an identity",
  },
  {
    is: "a signature by an identity, where a key is wanted",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle()),
    rule: BY_KEY,
    because: "it is by an identity (keyless), and the rule wants a key",
  },
  {
    is: "another subject",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(
        bundle({ subject: "https://ci.test/evil/app/release.yml@refs/tags/v1" }),
      );
    },
    because:
      'it is by "https://ci.test/evil/app/release.yml@refs/tags/v1", who is none of the rule\'s',
  },
  {
    is: "another issuer",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ issuer: "https://ci.test.evil.example" }));
    },
    because: 'whose issuer "https://ci.test.evil.example" is none of the rule\'s',
  },
  {
    is: "the subject of one identity with the issuer of another",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ issuer: "https://mail.test" }));
    },
    rule: { keyless: [IDENTITY, { issuer: "https://mail.test", subject: "*@acme.test" }] },
    because: "who is none of the rule's",
  },
  {
    is: "a certificate of another authority of the same name",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ authority: new CertificateMaker() }));
    },
    because: "its certificate does not count: Failed to verify certificate chain",
  },
  {
    is: "a certificate that was logged nowhere",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ certificateLog: "none" }));
    },
    because: "its certificate does not count: expected 1 SCTs, got 0",
  },
  {
    is: "a certificate that another log has stamped",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ certificateLog: new CertificateLog() }));
    },
    because: "its certificate does not count: SCT verification failed",
  },
  {
    is: "a certificate for servers",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ usage: "1.3.6.1.5.5.7.3.1" }));
    },
    because: "its certificate is not for signing code",
  },
  {
    is: "a certificate that had expired when it was used",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ from: new Date(Date.now() - HOUR_MS) }));
    },
    because: "certificate is not valid or expired at the specified date",
  },
  {
    is: "a certificate that was used before its time",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ from: new Date(Date.now() + HOUR_MS) }));
    },
    because: "certificate is not valid or expired at the specified date",
  },
  {
    is: "a certificate that is damaged",
    attach: ({ registry, bundle }) => {
      const crafted = bundle();
      crafted.verificationMaterial.certificate = { rawBytes: "MIIB" };
      registry.attachBundle(crafted);
    },
    because: "it is damaged",
  },
  {
    is: "an authority's own certificate",
    attach: ({ registry, bundle, services }) => {
      const crafted = bundle();
      const rawBytes = services.authority.chain[0]?.toString("base64") ?? "";
      crafted.verificationMaterial.certificate = { rawBytes };
      registry.attachBundle(crafted);
    },
    because: "its certificate does not count",
  },
]);
