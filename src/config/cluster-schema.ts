import { z } from "zod";
import { databaseSchema } from "./database-schema.ts";
import { address, replicaUrl } from "./schema-values.ts";
import { sharedStoreSchema } from "./shared-store-schema.ts";

const MAX_MEMBERS = 256;

const tls = z.strictObject({
  certificate: z
    .string()
    .min(1)
    .describe(
      "The PEM file with this replica's certificate, followed by its intermediate certificates.",
    ),
  key: z.string().min(1).describe("The PEM file with the private key, without a passphrase."),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The PEM file with the CA certificates that sign the certificates of the replicas, or PEM text. Default: the public ones.",
    ),
});

/** `cluster` of entrepot.yaml. */
export const clusterSchema = z.strictObject({
  listen: address
    .optional()
    .describe("The address for other replicas: host:port, :port or a port. Default: 0.0.0.0:5002."),
  advertise: replicaUrl
    .optional()
    .describe(
      "Where other replicas reach this one, such as http://10.0.0.7:5002. Every replica needs another one. Default: the first private address of this machine, with the port of listen.",
    ),
  secretFile: z
    .string()
    .min(1)
    .describe(
      "The file with the secret that all replicas share: 16 to 4096 characters. It signs what replicas ask each other.",
    ),
  tls: tls
    .optional()
    .describe("With it, replicas speak only HTTPS among each other. Default: none, plain HTTP."),
  members: z
    .array(replicaUrl)
    .max(MAX_MEMBERS)
    .optional()
    .describe(
      "The addresses of all replicas, as they advertise them. The same list can be given to every replica. Default: none.",
    ),
  database: databaseSchema
    .optional()
    .describe(
      "A PostgreSQL database, version 13 or newer, in which replicas tell each other which of them are alive, where tags point, and what is pinned, purged and rate-limited. Pulls never depend on it. The tables are made in a schema of their own, entrepot. Default: none.",
    ),
  store: sharedStoreSchema
    .optional()
    .describe(
      "An object store with the S3 protocol that all replicas share. What one has downloaded is written to it, and the others read it from there before they ask a registry. Blobs above 5 GiB, and those with sha512 digests, are not shared. Default: none.",
    ),
});

export type ClusterEntry = z.infer<typeof clusterSchema>;
