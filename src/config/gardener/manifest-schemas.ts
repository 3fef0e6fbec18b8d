import { z } from "zod";

// In Gardener, an absent struct and an empty one differ: defaults only apply to an absent one. Hence `nullish`.

const text = z.string().min(1);

const cache = z.strictObject({
  upstream: text,
  remoteURL: text.nullish(),
  /** Only in v1alpha1. Later versions have it in `volume`. */
  size: z.union([z.string(), z.number()]).nullish(),
  volume: z
    .strictObject({
      size: z.union([z.string(), z.number()]).nullish(),
      storageClassName: text.nullish(),
    })
    .nullish(),
  garbageCollection: z
    .strictObject({
      ttl: z.union([z.string(), z.number()]).nullish(),
      enabled: z.boolean().nullish(),
    })
    .nullish(),
  secretReferenceName: text.nullish(),
  proxy: z.strictObject({ httpProxy: text.nullish(), httpsProxy: text.nullish() }).nullish(),
  http: z.strictObject({ tls: z.boolean().nullish() }).nullish(),
  highAvailability: z.strictObject({ enabled: z.boolean().nullish() }).nullish(),
  serviceNameSuffix: text.nullish(),
});

export const registryConfig = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal("RegistryConfig"),
  caches: z.array(cache).min(1, "must have at least one cache"),
});

const mirror = z.strictObject({
  upstream: text,
  hosts: z
    .array(
      z.strictObject({
        host: text,
        capabilities: z.array(z.string()).nullish(),
        caBundleSecretReferenceName: text.nullish(),
        overridePath: z.boolean().nullish(),
      }),
    )
    .min(1, "must have at least one host"),
});

export const mirrorConfig = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal("MirrorConfig"),
  mirrors: z.array(mirror).min(1, "must have at least one mirror"),
});

const reference = z.object({
  name: text,
  resourceRef: z.object({ kind: z.string(), name: text, apiVersion: z.string().nullish() }),
});

/** Not strict: a Shoot has hundreds of fields that do not concern the cache. */
export const shoot = z.object({
  spec: z.object({
    networking: z.object({ ipFamilies: z.array(z.string()).nullish() }).nullish(),
    provider: z
      .object({
        workers: z
          .array(
            z.object({
              name: z.string().nullish(),
              cri: z.object({ name: z.string().nullish() }).nullish(),
            }),
          )
          .nullish(),
      })
      .nullish(),
    extensions: z
      .array(
        z.object({
          type: text,
          disabled: z.boolean().nullish(),
          providerConfig: z.unknown().optional(),
        }),
      )
      .nullish(),
    resources: z.array(reference).nullish(),
  }),
});

export const extension = z.object({
  spec: z.object({ type: text, providerConfig: z.unknown().optional() }),
});

export const operatingSystemConfig = z.object({
  spec: z.object({
    criConfig: z.object({
      name: z.string().nullish(),
      containerd: z.object({
        registries: z
          .array(
            z.object({
              upstream: text,
              server: text.nullish(),
              hosts: z
                .array(
                  z.object({
                    url: text,
                    capabilities: z.array(z.string()).nullish(),
                    caCerts: z.array(z.string()).nullish(),
                    overridePath: z.boolean().nullish(),
                  }),
                )
                .nullish(),
              readinessProbe: z.boolean().nullish(),
            }),
          )
          .min(1),
      }),
    }),
  }),
});

export type RegistryCache = z.infer<typeof cache>;
export type RegistryMirror = z.infer<typeof mirror>;
export type NodeRegistry = z.infer<
  typeof operatingSystemConfig
>["spec"]["criConfig"]["containerd"]["registries"][number];
export type Reference = z.infer<typeof reference>;
