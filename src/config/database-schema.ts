import { z } from "zod";

/** `cluster.database` of entrepot.yaml. */
export const databaseSchema = z.strictObject({
  urlFile: z
    .string()
    .min(1)
    .describe(
      "The file with the URL of the database: postgres://user:password@host:5432/database. Its parameter sslmode is disable, require, verify-ca or verify-full; by default, verify-full with ca and disable without. A pooler such as PgBouncer in between does not pass notifications on: name the server itself.",
    ),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The PEM file with the CA certificates that sign the server's certificate, or PEM text. Default: the public ones.",
    ),
});

export type DatabaseEntry = z.infer<typeof databaseSchema>;
