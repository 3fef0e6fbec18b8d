import { z } from "zod";
import { accessSchema } from "./access-schema.ts";
import { authSchema } from "./auth-schema.ts";
import { maxRate } from "./max-rate.ts";
import { isSubpath, isVolumeName, type RegistryData } from "./registry-data.ts";
import {
  duration,
  maxSize,
  nonEmptyText,
  ownAddress,
  patterns,
  realmHost,
  registryUrl,
} from "./schema-values.ts";

const mirror = z.union([
  registryUrl,
  z.strictObject({
    url: registryUrl.describe("The URL of the mirror: http or https, with an optional path."),
    allowPrivate: z
      .boolean()
      .optional()
      .describe("Whether the mirror may have a private or loopback address. Default: false."),
    overridePath: z
      .boolean()
      .optional()
      .describe(
        "Whether the path of url replaces /v2, as override_path does in containerd's hosts.toml. Default: false.",
      ),
    resolve: z
      .boolean()
      .optional()
      .describe(
        "Whether the mirror is asked to resolve tags. If false, it only serves manifests and blobs by digest. Default: true.",
      ),
    ca: nonEmptyText.describe(
      "CA certificates to trust for this mirror in addition to the public ones, instead of the upstream's: a PEM file, or the PEM text. Default: ca of the upstream.",
    ),
  }),
]);

const adopt = z
  .strictObject({
    folder: z
      .string()
      .refine((text) => text.startsWith("/") && !text.includes("\0"), {
        message: "must be an absolute path",
      })
      .optional()
      .meta({ pattern: "^/" })
      .describe(
        "The rootdirectory on this machine of a registry:2 that was a proxy of this registry: an absolute path. entrepot adopt --from takes its data over; the cache does not read it. Excludes the other keys of adopt.",
      ),
    volume: z
      .string()
      .refine(isVolumeName, { message: "must be the name of a volume of Docker or Podman" })
      .optional()
      .describe("Instead of a folder, the name of a volume of Docker or Podman."),
    subpath: z
      .string()
      .refine(isSubpath, { message: "must be a path inside the volume" })
      .optional()
      .describe("The rootdirectory inside the volume. Default: the volume itself."),
  })
  .transform(({ folder, volume, subpath }, context): RegistryData => {
    if (folder !== undefined && volume === undefined && subpath === undefined) return { folder };
    if (volume !== undefined && folder === undefined) return { volume, subpath };
    const message = "must have either folder, or volume with or without subpath";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

/** The schema of an entry of `upstreams`. */
export const upstreamSchema = z.strictObject({
  url: registryUrl
    .optional()
    .describe(
      "The URL of the registry, with an optional path. Default: https:// and the upstream's name; https://registry-1.docker.io for docker.io.",
    ),
  port: z
    .number()
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      "An additional port, at the host of listen, that serves only this registry, for clients that send no namespace. Range: 1 to 65535. Default: none. A change needs a restart.",
    ),
  listen: ownAddress
    .optional()
    .describe(
      "The only address at which this registry is served, instead of listen: host:port, such as 127.0.0.1:5010. Nothing else is served there. Excludes port. Default: none. A change needs a restart.",
    ),
  pathPrefix: z
    .string()
    .regex(/^\/(?:[\w.~-]+\/)+$/, {
      message:
        "must be a path that begins and ends with a slash, of letters, digits, . _ ~ and -, such as /cache/",
    })
    .optional()
    .describe(
      "A path before /v2/ that requests to this registry's port or listen may have, as http.prefix of registry:2, such as /cache/. Without port and listen, requests to the listen of the cache. Default: none. A change needs a restart.",
    ),
  tagTtl: duration
    .optional()
    .describe(
      "How long a tag is served from the cache before the registry is asked whether it moved. 0 asks on each request. Range: 0 to 365d. Default: 30s.",
    ),
  auth: authSchema
    .optional()
    .describe("The credentials for this registry. Default: none, so that pulls are anonymous."),
  allowPrivate: z
    .boolean()
    .optional()
    .describe(
      "Whether the cache may connect to a private, loopback or link-local address for this registry. Default: false.",
    ),
  trustedRealms: z
    .array(realmHost)
    .max(64)
    .optional()
    .describe(
      "Hosts outside the registry's own domain, or other ports of its host (host:port), whose token endpoints may receive the credentials. At most 64. Default: none.",
    ),
  maxConnections: z
    .number()
    .int()
    .min(1)
    .max(96)
    .optional()
    .describe(
      "Maximum number of connections on which blobs are downloaded from this registry. A large blob has several where that is faster, while half of them are left for others. Lower it on a slow line: a download below 1 KiB/s is given up. No registry gets more than three quarters of all downloads. The replicas of a cluster share this number. Range: 1 to 96. Default: 32.",
    ),
  maxRate: maxRate
    .optional()
    .describe(
      'Maximum rate at which this registry and its mirrors send to the cache, in bytes per second with a unit, such as 20MiB. Or a list of rates by the time of day, each with from, to and rate, such as { from: "08:00", to: "18:00", rate: 20MiB }; outside of these times, there is no limit but that of all registries. Local time, see TZ. Minimum: 1KiB. Default: no limit.',
    ),
  mirrors: z
    .array(mirror)
    .max(8)
    .optional()
    .describe(
      "Mirrors that are asked before the registry, in this order and without credentials. At most 8. Default: none.",
    ),
  proxy: nonEmptyText.describe(
    "The HTTP proxy for this registry: http://[user:password@]host:port, or none. Default: HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment.",
  ),
  ca: nonEmptyText.describe(
    "CA certificates to trust for this registry in addition to the public ones: a PEM file, or the PEM text. Default: none.",
  ),
  clientCertificate: nonEmptyText.describe(
    "The PEM file with the client certificate for a registry that requires one. Needs clientKey. Default: none.",
  ),
  clientKey: nonEmptyText.describe(
    "The PEM file with the key of clientCertificate. Default: none.",
  ),
  revokedAfter: duration
    .optional()
    .describe(
      "How long the content of a repository is still served while the registry refuses access to it (401 or 403), counted from the end of tagTtl after its last good answer. Range: 0 to 365d. Default: 1h.",
    ),
  staleFor: duration
    .optional()
    .describe(
      "How long after its last check a tag is still served while the registry is failing. Range: 0 to 365d. Default: without limit.",
    ),
  access: accessSchema
    .optional()
    .describe(
      "Who may pull. open: whoever reaches the cache. upstream: what the registry shows to anybody, everybody; all else, those whose credentials the registry accepts for the repository. clients: those whom clients and its rules let. denied: nobody. Or a list of entries with repositories and access, of which the first that matches decides; what none matches is open. At most 256. Default: open.",
    ),
  accessTtl: duration
    .optional()
    .describe(
      "With access: upstream, how long the registry's consent to a client's credentials holds for a repository before it is asked again. Range: 0 to 365d. Default: 5m.",
    ),
  accessStaleFor: duration
    .optional()
    .describe(
      "With access: upstream, how long that consent holds while the registry cannot be asked. Range: 0 to 365d. Default: 1h.",
    ),
  allow: patterns.describe(
    "Patterns of the repositories that are served, by tag and by digest, such as library/*, org/** or team-[0-9]/{app,web}. At most 256. Default: all.",
  ),
  deny: patterns.describe(
    "Patterns of the repositories that are not served, even if allow matches. At most 256. Default: none.",
  ),
  bypass: patterns.describe(
    "Patterns of the repositories that are forwarded to the registry and never stored. At most 256. Default: none.",
  ),
  immutableTags: patterns.describe(
    "Patterns of the tags that never move, such as v*.*.*. They are never rechecked. At most 256. Default: none.",
  ),
  prefetch: z
    .enum(["on", "off"], { message: "must be on or off" })
    .optional()
    .describe(
      "Whether the missing layers of an image above the first one that a client pulls are downloaded before the client asks for them. off for lines that are charged by volume. Default: on.",
    ),
  maxSize: maxSize
    .optional()
    .describe(
      "Maximum size of the stored blobs of this registry, in bytes or with a unit. Minimum: 1MiB. Default: no limit except storage.maxSize.",
    ),
  maxAge: duration
    .optional()
    .describe(
      "How long a blob of this registry is kept after it was stored. 0 means without limit. Range: 0 to 365d. Default: 0.",
    ),
  adopt: adopt
    .optional()
    .describe(
      "Where a registry:2 that was a proxy of this registry has its data, for entrepot adopt --from. A cache that runs does not read it. Default: none.",
    ),
});

export type UpstreamEntry = z.infer<typeof upstreamSchema>;
