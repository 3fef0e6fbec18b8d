const statuses = (...codes: number[]): ReadonlySet<number> => new Set(codes);

/**
 * Where real registries, and the proxies in front of them, differ from the OCI distribution spec v1.1.1
 * and from RFC 9110, and what this client does about it. Other files refer to a quirk by its name.
 *
 * Every quirk is handled for every upstream. A host name does not tell which software answers: Harbor,
 * Nexus, Artifactory and ECR run under their owners' domains, and mirrors and redirects can lead to any
 * of them. So a deviation is either recognized by the response that shows it, or avoided everywhere
 * because that costs other registries nothing. No quirk needs a switch by upstream name so far. If one
 * does, the switch belongs in this file.
 *
 * Each entry says which registry deviates, what is done about it, and the source of the fact.
 */
export const QUIRKS = {
  /**
   * The bytes to GET to learn whether a blob can be read (`end` is exclusive). HEAD cannot tell:
   * public.ecr.aws answers it with 401 to every client, and a Harbor proxy project answers 404 until it
   * has cached the blob.
   *
   * Source: aws/containers-roadmap#2671, distribution/distribution#4383.
   */
  blobProbeRange: { offset: 0, end: 1 },

  /**
   * The largest `n` in a tag list request. ECR answers a larger one with an error; the spec would have
   * it send a shorter page.
   *
   * Source: google/go-containerregistry#681.
   */
  maxTagsPerPage: 1000,

  /**
   * Statuses that mean "missing or private". Docker Hub answers 401 for a repository that does not
   * exist, where others answer 404. They become the fault `upstream-denied`, whose message names both
   * possibilities.
   *
   * Source: distribution/distribution#1291, jupyterhub/binderhub#1664.
   */
  missingOrPrivateStatuses: statuses(401, 403),

  /**
   * Statuses by which registries say that they lack the referrers API, where the spec has them answer
   * 404: quay.io 400, others 405, 406 or 501. A redirect to a web page (registry.k8s.io), a web page and
   * a document that is no index say it as well: list-requests.ts. A 5xx other than 501 does not.
   *
   * Source: quay/quay#3071, kubernetes/registry.k8s.io#287, sigstore/sigstore-js#1187.
   */
  noReferrersStatuses: statuses(204, 400, 405, 406, 410, 414, 415, 422, 501),

  /**
   * Statuses with which a storage refuses a signed URL that has expired. Those of quay.io are valid for
   * ten minutes, and clocks differ. The registry is asked for a new URL; redirects are never cached.
   *
   * Source: rpardini/docker-registry-proxy#26.
   */
  expiredSignatureStatuses: statuses(401, 403),

  /**
   * Docker Hub's rate-limit headers, as in draft-ietf-httpapi-ratelimit-headers-02: `100;w=21600`. Their
   * absence means that there is no limit. A HEAD carries them and is not counted, so
   * cache/lookup/tag-resolver.ts sends a HEAD before a GET wherever they have been seen. Requests without
   * credentials are counted by the address that they come from, which a further header names.
   *
   * Source: https://docs.docker.com/docker-hub/usage/pulls/
   */
  rateLimitHeaders: {
    limit: "ratelimit-limit",
    remaining: "ratelimit-remaining",
    source: "docker-ratelimit-source",
  },

  /**
   * The largest token response that is read, in bytes. Tokens of ECR have about 4 KiB.
   *
   * Source: aws/containers-roadmap#1589.
   */
  maxTokenResponseBytes: 64 * 1024,

  /**
   * The media type of a response that is not the registry's, even with status 200: captive portals and
   * filtering proxies send their own page in place of a manifest or a blob.
   */
  webPageMediaType: "text/html",

  /**
   * The header that marks a response as the forward proxy's own, whatever its status: only a proxy may
   * send it (RFC 9110 section 11.7.1). tinyproxy up to 1.11.2 refuses wrong proxy credentials with 401
   * in place of 407.
   *
   * Source: tinyproxy/tinyproxy#532.
   */
  proxyChallengeHeader: "proxy-authenticate",
} as const;

/*
 * Quirks that are handled by code rather than by a value:
 *
 * - A HEAD of a manifest fails where GET works: 405 and 501 (distribution 2.2, gateways that only route
 *   GET; distribution/distribution#1485), 403 (registry.centos.org; containerd/containerd#6684), 400, 404
 *   and 500 (Harbor, Nexus, Artifactory). Or it names another digest than GET gives (keel-hq/keel#717).
 *   GET decides: manifest-requests.ts, cache/lookup/head-trust.ts.
 * - ghcr.io puts a placeholder scope in its challenge and refuses the scope `pull,push`. The scope is
 *   built from the repository name: auth/token-cache.ts.
 * - nvcr.io answers an old token with a realm on another domain (authn.nvidia.com), and a request without a
 *   token with its own (oras-project/oras-dotnet#415). Others answer it with Basic, or with 403. Then the
 *   request is sent once without a token: authorized-request.ts.
 * - Registries behind a proxy that ends TLS name their realm by http, which redirects to https:
 *   auth/token-request.ts.
 * - GitLab's tokens may live for only 60 s. Tokens are renewed before they expire: auth/token-cache.ts.
 * - Docker Hub, ACR and others keep their token endpoint on another host of their domain: auth/realm.ts.
 * - reg.kyverno.io redirects to ghcr.io, which sends a challenge of its own (kyverno/kyverno#12031). It
 *   is met with an anonymous token of that host: round-trip.ts.
 * - registry.access.redhat.com sends no Docker-Content-Digest. The digest is computed from the bytes:
 *   manifest-requests.ts. It also compresses bodies unless told not to: transport/dialer.ts.
 * - Storages name an encoding that is a mere label, and proxies compress although they are told not to:
 *   transport/header-checks.ts, transport/decoded.ts. Proxies send 203, and storages an unasked 206 of the
 *   whole: transport/content-range.ts.
 * - Some registries answer a Range request with 200 and the whole blob: transport/content-range.ts.
 * - ghcr.io lacks the referrers API. The referrers tag is read instead: cache/lookup/referrers.ts.
 * - Nexus and static file servers send manifests as application/json or without a type, Go programs `null`
 *   for an empty list, and some indexes have a part of a platform (Homebrew/brew#17395): oci/manifest.ts.
 * - Artifact Registry sends all tags at once, with keys of its own; others send `"tags": null`:
 *   list-requests.ts.
 *
 * Docker Hub's names are configuration. Its registry host, registry-1.docker.io, and its aliases are in
 * config/settings.ts. The `library/` prefix of official images is added in server/pull/route.ts.
 */
