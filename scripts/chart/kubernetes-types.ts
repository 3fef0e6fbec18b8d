/**
 * Types of Kubernetes that values pass on, as far as a misspelt field in them would be silently without effect. Where
 * Kubernetes adds fields with its versions, such as in volumes, the API server is the one who knows.
 */
const text = { type: "string" };
const number = { type: "integer" };
const port = { type: "integer", minimum: 1, maximum: 65_535 };
const quantities = {
  type: "object",
  additionalProperties: {
    type: ["string", "number"],
    pattern: "^[0-9]*\\.?[0-9]+([eE][0-9]+|n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
  },
};

const object = (properties: object, required: readonly string[] = []): object => ({
  type: "object",
  additionalProperties: false,
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const list = (items: object): Readonly<Record<string, unknown>> => ({ type: "array", items });

export const KUBERNETES = {
  localReferences: list(object({ name: text }, ["name"])),
  issuer: { ...object({ name: text, kind: text, group: text }) },
  servicePorts: list(
    object(
      {
        name: { type: "string", pattern: "^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$" },
        port,
        targetPort: { type: ["integer", "string"] },
        nodePort: port,
        protocol: { enum: ["TCP"] },
        appProtocol: text,
      },
      ["name", "port"],
    ),
  ),
  ingressTls: list(object({ hosts: list(text), secretName: text })),
  resources: { ...object({ requests: quantities, limits: quantities, claims: { type: "array" } }) },
  tolerations: list(
    object({ key: text, operator: text, value: text, effect: text, tolerationSeconds: number }),
  ),
  probe: {
    ...object({
      initialDelaySeconds: number,
      periodSeconds: number,
      timeoutSeconds: number,
      successThreshold: number,
      failureThreshold: number,
      terminationGracePeriodSeconds: number,
    }),
  },
  env: list(object({ name: text, value: text, valueFrom: { type: "object" } }, ["name"])),
} as const;
