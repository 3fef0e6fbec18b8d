import { z } from "zod";

const registry = z
  .string()
  .regex(/^[\w.-]+$/, { message: "must be a host name, without scheme, port and path" })
  .transform((host) => host.toLowerCase())
  .optional();

const text = z.string().min(1).optional();

/** `auth.aws` of an upstream. */
export const awsSchema = z.strictObject({
  registry: registry.describe(
    "The registry's host name at AWS, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com, or public.ecr.aws. It has the region. Default: the host of url.",
  ),
});

/** `auth.google` of an upstream. */
export const googleSchema = z.strictObject({
  registry: registry.describe(
    "The registry's host name at Google, such as europe-west1-docker.pkg.dev. Default: the host of url.",
  ),
});

/** `auth.azure` of an upstream. */
export const azureSchema = z.strictObject({
  registry: registry.describe(
    "The registry's host name at Azure, such as example.azurecr.io. Default: the host of url.",
  ),
  clientId: text.describe(
    "The client ID of the identity, where there are several. Default: AZURE_CLIENT_ID; otherwise the machine's own.",
  ),
  tenantId: text.describe("The tenant of the identity. Default: AZURE_TENANT_ID."),
});
