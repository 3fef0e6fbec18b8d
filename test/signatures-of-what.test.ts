import {
  expectFailures,
  SIMPLE,
  PROVENANCE,
  OTHER_DIGEST,
  BY_KEY,
  BY_IDENTITY,
} from "./harness/signatures/failing-cases.ts";
import { craftBundle, simplePayload, statementOf } from "./harness/signatures/crafted-bundle.ts";

expectFailures([
  { is: "no signature", attach: () => {}, because: "no signature was found" },
  {
    is: "a signature of another digest",
    attach: ({ registry, services }) => {
      registry.attachBundle(craftBundle(services, statementOf(OTHER_DIGEST)));
    },
    because: `it is of ${OTHER_DIGEST}`,
  },
  {
    is: "an old signature of another digest under the tag of this one",
    attach: ({ registry, simple }) => {
      registry.attachLayers("sig", SIMPLE, [
        simple({}, simplePayload(OTHER_DIGEST, "reg.test/app")),
      ]);
    },
    rule: BY_KEY,
    because: `it is of "${OTHER_DIGEST}"`,
  },
  {
    is: "an old signature for another repository",
    attach: ({ registry, simple }) => {
      const { digest } = registry.image;
      registry.attachLayers("sig", SIMPLE, [simple({}, simplePayload(digest, "reg.test/other"))]);
    },
    rule: BY_KEY,
    because: 'it is of the repository "reg.test/other"',
  },
  {
    is: "an attestation for another repository",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle());
      registry.attachBundle(bundle({}, { predicateType: PROVENANCE, name: "ghcr.io/acme/other" }));
    },
    rule: { ...BY_IDENTITY, attestations: [PROVENANCE] },
    because: 'it is of the repository "ghcr.io/acme/other"',
  },
  {
    is: "a signature whose annotation names another repository",
    attach: ({ registry, bundle }) => {
      const annotations = { repository: "reg.test/other" };
      registry.attachBundle(bundle({}, { annotations }));
    },
    because: 'it is of the repository "reg.test/other"',
  },
  {
    is: "a signature without a repository, where it has to name it",
    attach: ({ registry, bundle }) => void registry.attachBundle(bundle()),
    rule: { ...BY_IDENTITY, repository: "named" },
    because: "it names no repository, and the rule wants it named",
  },
  {
    is: "an attestation of another predicate, in place of a signature",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({}, { predicateType: PROVENANCE }));
    },
    because: "no signature that counts",
  },
  {
    is: "an attestation of another predicate than the rule wants",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle());
      registry.attachBundle(bundle({}, { predicateType: "https://example.test/other" }));
    },
    rule: { ...BY_IDENTITY, attestations: [PROVENANCE] },
    because: `no attestation ${PROVENANCE} that counts`,
  },
  {
    is: "an attestation whose subject is a layer or a child of the image",
    attach: ({ registry, services }) => {
      const child = statementOf(OTHER_DIGEST, { predicateType: PROVENANCE });
      registry.attachBundle(craftBundle(services, child));
    },
    rule: { ...BY_IDENTITY, attestations: [PROVENANCE], signature: false },
    because: `it is of ${OTHER_DIGEST}`,
  },
  {
    is: "a statement that names no digest",
    attach: ({ registry, services }) => {
      const statement = { ...statementOf(OTHER_DIGEST), subject: [{ name: "reg.test/app" }] };
      registry.attachBundle(craftBundle(services, statement));
    },
    because: "it names no digest",
  },
  {
    is: "a statement of an unknown form",
    attach: ({ registry, services }) => {
      const statement = { ...statementOf(registry.image.digest), _type: "https://evil.test/v1" };
      registry.attachBundle(craftBundle(services, statement));
    },
    because: "what is signed is no in-toto statement",
  },
  {
    is: "a payload that is no statement",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ payload: "hello" }));
    },
    because: "what is signed is no in-toto statement",
  },
  {
    is: "a payload of another type",
    attach: ({ registry, bundle }) => {
      registry.attachBundle(bundle({ payloadType: "text/plain" }));
    },
    because: 'it is about "text/plain"',
  },
  {
    is: "an old payload of another type",
    attach: ({ registry, simple }) => {
      const payload = { critical: { type: "something else" } };
      registry.attachLayers("sig", SIMPLE, [simple({}, payload)]);
    },
    rule: BY_KEY,
    because: "what is signed says nothing of an image",
  },
]);
