import { z } from "zod";

/** What is read of a pod. Not strict: a pod has hundreds of fields that do not concern the cache. */

const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const labels = z.record(z.string(), text).nullish();
const keyRef = z.object({
  name: z.string().default(""),
  key: z.string(),
  optional: z.boolean().nullish(),
});
const objectRef = z.object({ name: z.string().default(""), optional: z.boolean().nullish() });

export const variable = z.object({
  name: z.string(),
  value: text.nullish(),
  valueFrom: z
    .looseObject({ secretKeyRef: keyRef.nullish(), configMapKeyRef: keyRef.nullish() })
    .nullish(),
});

export const variableSource = z.object({
  prefix: z.string().nullish(),
  configMapRef: objectRef.nullish(),
  secretRef: objectRef.nullish(),
});

export const volumeMount = z.object({
  name: z.string(),
  mountPath: z.string(),
  subPath: z.string().nullish(),
  subPathExpr: z.string().nullish(),
});

const items = z.array(z.object({ key: z.string(), path: z.string() })).nullish();
const configMapVolume = z.object({ name: z.string().default(""), items });
const projected = z.object({
  sources: z.array(
    z.object({
      configMap: configMapVolume.nullish(),
      secret: configMapVolume.nullish(),
    }),
  ),
});

/** Other types of volumes are recognized by their key alone. */
export const volume = z.looseObject({
  name: z.string(),
  hostPath: z.object({ path: z.string() }).nullish(),
  configMap: configMapVolume.nullish(),
  secret: z.object({ secretName: z.string().default(""), items }).nullish(),
  projected: projected.nullish(),
  persistentVolumeClaim: z.object({ claimName: z.string() }).nullish(),
});

const port = z.object({
  name: z.string().nullish(),
  containerPort: text,
  hostPort: text.nullish(),
  hostIP: z.string().nullish(),
  protocol: z.string().nullish(),
});

export const container = z.object({
  name: z.string().nullish(),
  image: z.string().nullish(),
  command: z.array(text).nullish(),
  args: z.array(text).nullish(),
  env: z.array(variable).nullish(),
  envFrom: z.array(variableSource).nullish(),
  ports: z.array(port).nullish(),
  volumeMounts: z.array(volumeMount).nullish(),
  securityContext: z.object({ runAsUser: text.nullish(), runAsGroup: text.nullish() }).nullish(),
});

export const pod = z.object({
  hostNetwork: z.boolean().nullish(),
  containers: z.array(container),
  volumes: z.array(volume).nullish(),
  hostAliases: z.array(z.object({ ip: z.string(), hostnames: z.array(z.string()) })).nullish(),
  dnsConfig: z.object({ nameservers: z.array(z.string()).nullish() }).nullish(),
  securityContext: z.object({ runAsUser: text.nullish(), runAsGroup: text.nullish() }).nullish(),
});

export const podTemplate = z.object({
  metadata: z.object({ labels }).nullish(),
  spec: pod,
});

export const service = z.object({
  spec: z.object({
    type: z.string().default("ClusterIP"),
    selector: labels,
    externalIPs: z.array(z.string()).nullish(),
    ports: z
      .array(
        z.object({
          port: text,
          targetPort: text.nullish(),
          nodePort: text.nullish(),
          protocol: z.string().nullish(),
        }),
      )
      .nullish(),
  }),
});

export type PodSpec = z.infer<typeof pod>;
export type ContainerSpec = z.infer<typeof container>;
export type VariableSpec = z.infer<typeof variable>;
export type VolumeSpec = z.infer<typeof volume>;
export type VolumeMountSpec = z.infer<typeof volumeMount>;
export type ServiceSpec = z.infer<typeof service>["spec"];
