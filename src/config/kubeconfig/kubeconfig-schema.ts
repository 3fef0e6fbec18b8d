import { z } from "zod";

const text = z.string().optional();
/** Absent and null mean the same in a kubeconfig. */
const list = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? []);

const cluster = z.looseObject({
  server: z.string(),
  "certificate-authority": text,
  "certificate-authority-data": text,
  "insecure-skip-tls-verify": z.boolean().optional(),
  "tls-server-name": text,
  "proxy-url": text,
});

export const execSchema = z.looseObject({
  apiVersion: z.string(),
  command: z.string().min(1),
  args: list(z.string()),
  env: list(z.looseObject({ name: z.string(), value: z.string() })),
  installHint: text,
  provideClusterInfo: z.boolean().optional(),
  interactiveMode: text,
});

const user = z.looseObject({
  "client-certificate": text,
  "client-certificate-data": text,
  "client-key": text,
  "client-key-data": text,
  token: text,
  tokenFile: text,
  exec: execSchema.nullish(),
  username: text,
  password: text,
  as: text,
  "auth-provider": z.unknown().optional(),
});

/** What is read of a kubeconfig (kubernetes.io/docs/reference/config-api/kubeconfig.v1). Other keys are left alone. */
export const kubeconfigSchema = z.looseObject({
  "current-context": text,
  clusters: list(z.looseObject({ name: z.string(), cluster })),
  users: list(
    z.looseObject({ name: z.string(), user: user.nullish().transform((value) => value ?? {}) }),
  ),
  contexts: list(
    z.looseObject({
      name: z.string(),
      context: z.looseObject({ cluster: z.string(), user: text }),
    }),
  ),
});

export type Kubeconfig = z.infer<typeof kubeconfigSchema>;
export type KubeUser = z.infer<typeof user>;
export type ExecEntry = z.infer<typeof execSchema>;
