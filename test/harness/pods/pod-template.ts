import { z } from "zod";

/**
 * A pod's template, as far as the harness can run it for real. Everything else that a pod may ask for is an error, so
 * that no test passes because it was left out.
 */

const seccompProfile = z.strictObject({ type: z.enum(["RuntimeDefault", "Unconfined"]) });

const httpGet = z.strictObject({
  path: z.string(),
  port: z.union([z.string(), z.number()]),
  scheme: z.enum(["HTTP", "HTTPS"]).default("HTTP"),
});

const probe = z
  .strictObject({
    httpGet: httpGet.optional(),
    exec: z.strictObject({ command: z.array(z.string()) }).optional(),
    initialDelaySeconds: z.number().default(0),
    periodSeconds: z.number().default(10),
    timeoutSeconds: z.number().default(1),
    failureThreshold: z.number().default(3),
    successThreshold: z.number().default(1),
  })
  .refine((it) => (it.httpGet === undefined) !== (it.exec === undefined), "one of httpGet, exec");

const environment = z.strictObject({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .strictObject({
      fieldRef: z.strictObject({
        apiVersion: z.literal("v1").optional(),
        fieldPath: z.enum([
          "status.hostIP",
          "status.podIP",
          "spec.nodeName",
          "metadata.name",
          "metadata.namespace",
        ]),
      }),
    })
    .optional(),
});

const container = z.strictObject({
  name: z.string(),
  image: z.string(),
  imagePullPolicy: z.enum(["IfNotPresent", "Never"]).optional(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(environment).default([]),
  ports: z
    .array(
      z.strictObject({
        name: z.string().optional(),
        containerPort: z.number(),
        protocol: z.literal("TCP").optional(),
      }),
    )
    .default([]),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  /** What the kubelet shows of a container that ended; the harness always reads the log. */
  terminationMessagePolicy: z.enum(["File", "FallbackToLogsOnError"]).optional(),
  resources: z
    .strictObject({
      requests: z.record(z.string(), z.string()).optional(),
      limits: z.strictObject({ memory: z.string().optional() }).optional(),
    })
    .optional(),
  securityContext: z
    .strictObject({
      privileged: z.boolean().default(false),
      allowPrivilegeEscalation: z.boolean().default(true),
      readOnlyRootFilesystem: z.boolean().default(false),
      runAsNonRoot: z.boolean().optional(),
      runAsUser: z.number().optional(),
      runAsGroup: z.number().optional(),
      capabilities: z
        .strictObject({
          drop: z.array(z.string()).default([]),
          add: z.array(z.string()).default([]),
        })
        .prefault({}),
      seccompProfile: seccompProfile.optional(),
    })
    .prefault({}),
  volumeMounts: z
    .array(
      z.strictObject({
        name: z.string(),
        mountPath: z.string(),
        readOnly: z.boolean().default(false),
        mountPropagation: z.enum(["None", "HostToContainer"]).default("None"),
      }),
    )
    .default([]),
});

const items = z.array(z.strictObject({ key: z.string(), path: z.string() })).optional();

const volume = z.union([
  z.strictObject({
    name: z.string(),
    hostPath: z.strictObject({
      path: z.string(),
      type: z.enum(["", "Directory", "DirectoryOrCreate", "File", "Socket"]).default(""),
    }),
  }),
  z.strictObject({
    name: z.string(),
    emptyDir: z.strictObject({ sizeLimit: z.string().optional(), medium: z.string().optional() }),
  }),
  z.strictObject({
    name: z.string(),
    configMap: z.strictObject({ name: z.string(), defaultMode: z.number().default(0o644), items }),
  }),
  z.strictObject({
    name: z.string(),
    secret: z.strictObject({
      secretName: z.string(),
      defaultMode: z.number().default(0o644),
      items,
    }),
  }),
  z.strictObject({
    name: z.string(),
    persistentVolumeClaim: z.strictObject({ claimName: z.string() }),
  }),
]);

const spec = z.strictObject({
  initContainers: z.array(container).default([]),
  containers: z.array(container),
  volumes: z.array(volume).default([]),
  enableServiceLinks: z.boolean().optional(),
  hostNetwork: z.boolean().default(false),
  hostPID: z.boolean().default(false),
  dnsPolicy: z.enum(["Default", "ClusterFirst", "ClusterFirstWithHostNet"]).optional(),
  restartPolicy: z.enum(["Always", "OnFailure", "Never"]).optional(),
  terminationGracePeriodSeconds: z.number().default(30),
  securityContext: z
    .strictObject({
      runAsNonRoot: z.boolean().optional(),
      runAsUser: z.number().optional(),
      runAsGroup: z.number().optional(),
      fsGroup: z.number().optional(),
      fsGroupChangePolicy: z.enum(["OnRootMismatch", "Always"]).optional(),
      seccompProfile: seccompProfile.optional(),
    })
    .prefault({}),
  serviceAccountName: z.string().optional(),
  /** A token would be a volume that Kubernetes adds. */
  automountServiceAccountToken: z.literal(false),
  // Where and when it runs, which is the scheduler's part.
  priorityClassName: z.string().optional(),
  nodeSelector: z.record(z.string(), z.string()).optional(),
  tolerations: z.array(z.looseObject({})).optional(),
  affinity: z.looseObject({}).optional(),
  topologySpreadConstraints: z.array(z.looseObject({})).optional(),
});

export const podTemplate = z.strictObject({
  metadata: z.strictObject({
    labels: z.record(z.string(), z.string()),
    annotations: z.record(z.string(), z.string()).nullish(),
  }),
  spec,
});

export type PodTemplate = z.output<typeof podTemplate>;
export type PodContainer = PodTemplate["spec"]["containers"][number];
export type PodVolume = PodTemplate["spec"]["volumes"][number];
export type PodProbe = NonNullable<PodContainer["readinessProbe"]>;

/** The pod template of a workload as `helm template` prints it, with its volume claims as volumes. */
export function templateOf(workload: unknown): PodTemplate {
  const { spec: parsed } = z
    .looseObject({
      spec: z.looseObject({
        template: z.looseObject({
          spec: z.looseObject({ volumes: z.array(z.unknown()).default([]) }),
        }),
        volumeClaimTemplates: z
          .array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) }))
          .default([]),
      }),
    })
    .parse(workload);
  const { template, volumeClaimTemplates } = parsed;
  const claims = volumeClaimTemplates.map(({ metadata: { name } }) => ({
    name,
    persistentVolumeClaim: { claimName: name },
  }));
  const volumes = [...template.spec.volumes, ...claims];
  return podTemplate.parse({ ...template, spec: { ...template.spec, volumes } });
}
