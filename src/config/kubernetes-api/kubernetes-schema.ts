import { z } from "zod";
import { quote } from "../parsing/problems.ts";

/** Each is watched over connections of its own. */
const MAX_NAMESPACES = 16;
const MAX_DAYS = 365;
export const DEFAULT_KEEP_DAYS = 7;

/** As Kubernetes has them: labels of DNS (RFC 1123). */
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

const namespace = z.string().refine((text) => NAMESPACE.test(text), {
  error: ({ input }) =>
    `${quote(String(input))} is not the name of a namespace: write lower-case letters, digits and dashes`,
});

const keep = z.union([
  z.literal("cluster", { error: "cluster" }),
  z.strictObject({
    days: z
      .int()
      .min(0)
      .max(MAX_DAYS)
      .describe("How long an image is kept after the cluster last ran it, in days. Maximum: 365."),
  }),
]);

/** `kubernetes` of entrepot.yaml. */
export const kubernetesSchema = z.strictObject({
  kubeconfig: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The kubeconfig file that says where the cluster is. Its exec plugins are started without a shell. Default: the service account of the pod that the cache runs in.",
    ),
  context: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe("The context of kubeconfig. Default: its current-context."),
  namespaces: z
    .array(namespace)
    .min(1)
    .max(MAX_NAMESPACES)
    .optional()
    .describe(
      "The namespaces that are read, at most 16: then the cache needs no rights for others. Default: all.",
    ),
  keep: keep
    .optional()
    .describe(
      `Keeps what the cluster runs from eviction, for as long as it runs and some days after: cluster for ${DEFAULT_KEEP_DAYS} days, or a mapping with days. What people pinned is not touched. While the cluster cannot be read, all stays kept. Default: nothing is kept.`,
    ),
});

export type KubernetesEntry = z.infer<typeof kubernetesSchema>;
