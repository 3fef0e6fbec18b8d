import type { Upstream } from "../../../src/cache/upstream.ts";
import { Cache } from "../../../src/cache/cache.ts";
import {
  SignatureVerifier,
  type SignatureVerifierOptions,
} from "../../../src/cache/signatures/signature-verifier.ts";
import { TrustRoots } from "../../../src/cache/signatures/trust-roots.ts";
import type { VerifyRule } from "../../../src/config/policies/policy-settings.ts";
import type { UpstreamSettings } from "../../../src/config/settings.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../../src/oci/media-types.ts";
import type { RepositoryRef } from "../../../src/store/repository-ref.ts";
import type { VerificationRecord } from "../../../src/store/verification-store.ts";
import { MemoryBlobStore } from "../../../src/store/memory/memory-blob-store.ts";
import type { MetadataStore } from "../../../src/store/metadata-store.ts";
import { openMetadata } from "../../../src/store/sql/open-metadata.ts";
import { openRegistryTransport } from "../../../src/upstream/registry-transport.ts";
import { Registry } from "../../../src/upstream/registry.ts";
import {
  loopbackResolver,
  type RecordedRequest,
  repository,
  serve,
  settings,
} from "../../../src/upstream/upstreamtest/test-servers.ts";
import { contentOf, descriptor, type SmallContent } from "../images/content.ts";
import { type CraftedBundle, BUNDLE_TYPE, type CraftedSimpleSigning } from "./crafted-bundle.ts";

const EMPTY = contentOf("{}", "application/vnd.oci.empty.v1+json");

/** A cache in memory that verifies what a registry has. */
export interface VerifyingCache extends AsyncDisposable {
  readonly upstream: Upstream;
  readonly metadata: MetadataStore;
  readonly repo: RepositoryRef;
  verify(digest: Digest, rule: VerifyRule): Promise<VerificationRecord | undefined>;
}

export interface VerifyingCacheOptions extends Pick<
  SignatureVerifierOptions,
  "now" | "onVerified"
> {
  readonly settings?: Partial<Omit<UpstreamSettings, "url" | "name">>;
  /** Where the public trust root would be kept. */
  readonly trustFolder?: string;
  readonly repository?: string;
  /** That of a cache before. */
  readonly metadata?: MetadataStore;
}

/** @param url of the registry, whose repository `app` is asked about */
export async function verifyingCache(
  url: string,
  options: VerifyingCacheOptions = {},
): Promise<VerifyingCache> {
  const configured = settings(url, { tagTtl: 0, ...options.settings });
  const upstream: Upstream = {
    settings: configured,
    registry: new Registry(configured, openRegistryTransport({ resolver: loopbackResolver })),
  };
  const metadata = options.metadata ?? (await openMetadata(":memory:"));
  const cache = new Cache({
    store: new MemoryBlobStore(),
    metadata,
    observer: {
      fillEnded: () => {},
      manifestNotStored: () => {},
      metadataNotWritten: () => {},
      metadataNotRead: () => {},
      prefetchSwitched: () => {},
    },
  });
  const repo = {
    upstream: configured.name,
    repository: repository(options.repository ?? "app"),
  };
  const verifier = new SignatureVerifier({
    lookups: cache,
    records: metadata.verifications,
    trustRoots: new TrustRoots({ folder: options.trustFolder ?? "/nonexistent" }),
    upstreamOf: (name) => (name === configured.name ? upstream : undefined),
    ...options,
  });
  return {
    upstream,
    metadata,
    repo,
    verify: async (digest, rule) => {
      const record = await verifier.verify(repo, digest, rule);
      await verifier.recorded();
      return record;
    },
    [Symbol.asyncDispose]: async () => {
      await verifier.recorded();
      await cache.settled();
      if (!options.metadata) await metadata.close();
    },
  };
}

/** A registry in memory with one image, `app`, to which anything can be attached. */
export class SignedRegistry implements Disposable {
  readonly image = contentOf(
    { schemaVersion: 2, mediaType: OCI_MANIFEST, config: descriptor(EMPTY), layers: [] },
    OCI_MANIFEST,
  );
  /** Answers in place of the registry, if it does. */
  answer: (request: RecordedRequest) => Response | undefined | Promise<Response | undefined> = () =>
    undefined;
  /** As the API lists them; any number. */
  readonly referrers: object[] = [];
  #hasReferrersApi = true;
  readonly #contents = new Map<string, SmallContent>();
  readonly #server = serve(
    async (request) => (await this.answer(request)) ?? this.#respond(request),
  );

  constructor() {
    this.add(EMPTY);
    this.add(this.image);
  }

  get url(): string {
    return `http://reg.test:${this.#server.port}`;
  }

  get requests(): readonly RecordedRequest[] {
    return this.#server.requests;
  }

  add(content: SmallContent, name: string = content.digest): SmallContent {
    this.#contents.set(name, content);
    return content;
  }

  /** As cosign 3: a referrer. The bundle may be text that is none. */
  attachBundle(
    bundle: CraftedBundle | string | object,
    { type = BUNDLE_TYPE, layers = 1 }: { readonly type?: string; readonly layers?: number } = {},
  ): SmallContent {
    const layer = this.add(contentOf(bundle, type));
    const manifest = this.add(
      contentOf(
        {
          schemaVersion: 2,
          mediaType: OCI_MANIFEST,
          artifactType: BUNDLE_TYPE,
          config: descriptor(EMPTY),
          layers: Array.from({ length: layers }, () => descriptor(layer)),
          subject: descriptor(this.image),
        },
        OCI_MANIFEST,
      ),
    );
    this.referrers.push({ ...descriptor(manifest), artifactType: BUNDLE_TYPE });
    return manifest;
  }

  /** As cosign 2: a tag, `.sig` or `.att`, with a layer for each signature. */
  attachLayers(
    suffix: string,
    type: string,
    layers: readonly CraftedSimpleSigning[],
    of: Digest = this.image.digest,
  ): SmallContent {
    const described = layers.map(({ payload, annotations }) => ({
      ...descriptor(this.add(contentOf(payload, type))),
      annotations,
    }));
    const manifest = contentOf(
      {
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: descriptor(EMPTY),
        layers: described,
      },
      OCI_MANIFEST,
    );
    this.add(manifest);
    return this.add(manifest, `${of.replace(":", "-")}.${suffix}`);
  }

  /** As registries without the referrers API have it, for what is attached by now. */
  listUnderTag(): void {
    this.#hasReferrersApi = false;
    this.add(contentOf(this.#listed(), OCI_INDEX), this.image.digest.replace(":", "-"));
  }

  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]();
  }

  #respond({ path }: RecordedRequest): Response {
    if (path.includes("/referrers/") && this.#hasReferrersApi) {
      return Response.json(this.#listed(), { headers: { "content-type": OCI_INDEX } });
    }
    const found = this.#contents.get(path.split("/").at(-1) ?? "");
    if (!found) return Response.json({ errors: [{ code: "MANIFEST_UNKNOWN" }] }, { status: 404 });
    const { mediaType, digest, bytes } = found;
    return new Response(bytes, {
      headers: { "content-type": mediaType, "docker-content-digest": digest },
    });
  }

  #listed(): object {
    return { schemaVersion: 2, mediaType: OCI_INDEX, manifests: this.referrers };
  }
}
