import { z } from "zod";
import { clientsSchema } from "./clients-schema.ts";
import { clusterSchema } from "./cluster-schema.ts";
import { kubernetesSchema } from "./kubernetes-api/kubernetes-schema.ts";
import { maxRate } from "./max-rate.ts";
import { eventsSchema } from "./operator/events-schema.ts";
import { MAX_TOKEN_LENGTH, MIN_TOKEN_LENGTH, tokenProblem } from "./operator/admin-token.ts";
import { address, duration, size, workers } from "./schema-values.ts";
import { storageSchema } from "./storage-schema.ts";
import { tracingSchema } from "./tracing/tracing-schema.ts";
import { policiesSchema } from "./policies/policies-schema.ts";
import { upstreamSchema } from "./upstream-schema.ts";
import { warmSchema } from "./warm/warm-schema.ts";

const tls = z.strictObject({
  certificate: z
    .string()
    .min(1)
    .describe(
      "The PEM file with the server certificate, followed by its intermediate certificates.",
    ),
  key: z.string().min(1).describe("The PEM file with the private key, without a passphrase."),
});

/**
 * The schema of entrepot.yaml: keys, types and ranges. load.ts checks what involves several keys. The
 * descriptions are the reference documentation.
 */
export const fileSchema = z
  .strictObject({
    listen: address
      .optional()
      .describe(
        "The address for nodes: host:port, :port or a port, such as 0.0.0.0:5000 or [::]:5000. --listen and ENTREPOT_LISTEN override it. Default: 0.0.0.0:5000. A change needs a restart.",
      ),
    admin: address
      .optional()
      .describe(
        "The address of the admin API, the metrics and the health checks: host:port, :port or a port. An address that is not on loopback needs a token. --admin and ENTREPOT_ADMIN override it. Default: 127.0.0.1:5001. A change needs a restart.",
      ),
    adminToken: z
      .string()
      .superRefine((token, context) => {
        const message = tokenProblem(token);
        if (message !== undefined) context.addIssue({ code: "custom", message });
      })
      .optional()
      .meta({ minLength: MIN_TOKEN_LENGTH, maxLength: MAX_TOKEN_LENGTH })
      .describe(
        "The bearer token that clients of the admin address must send: 16 to 4096 visible ASCII characters. ENTREPOT_ADMIN_TOKEN overrides it. Prefer adminTokenFile. Default: none.",
      ),
    adminTokenFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "The file with the bearer tokens that allow everything at the admin address, one on each line: each is accepted, and the commands send the first. 16 to 4096 visible ASCII characters. It is reread when it changes. Excludes adminToken. Default: none.",
      ),
    readTokenFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        "The file with bearer tokens that only allow to read at the admin address, such as the metrics and the status, one on each line. It is reread when it changes. Needs adminTokenFile or adminToken. Default: none.",
      ),
    adminTls: tls
      .optional()
      .describe(
        "The server certificate of the admin address, which then accepts only HTTPS. Files are reread when they change. Default: none, plain HTTP.",
      ),
    tls: tls
      .optional()
      .describe(
        "The server certificate. With it, listen and the ports of the upstreams accept only HTTPS. Files are reread when they change. Default: none, plain HTTP.",
      ),
    plainCredentials: z
      .boolean()
      .optional()
      .describe(
        "Whether clients may send their credentials in plain text: with access: upstream or clients, a node-facing address that is not on loopback needs tls otherwise. Default: false.",
      ),
    clients: clientsSchema
      .optional()
      .describe(
        "The clients that this cache knows itself, and what they may pull: for access: clients. See docs/how-to/say-who-may-pull.md. Default: none.",
      ),
    workers: workers
      .optional()
      .describe(
        "How many threads accept the connections of nodes: a number up to 64, or auto. 1: the main thread alone. With more, as many threads of their own handle connections, TLS and the sending of what is stored; the main thread decides what is sent. auto: with one or two processors 1, otherwise one less than there are processors, at most 4, and fewer with less than 384 MiB of memory or few file descriptors (at most 4096). --workers and ENTREPOT_WORKERS override it. Default: auto. A change needs a restart.",
      ),
    storage: storageSchema
      .nullish()
      .describe("Where and how much the cache stores. A change needs a restart."),
    maxRate: maxRate
      .optional()
      .describe(
        "Maximum rate at which all registries together send to the cache, in bytes per second with a unit, such as 20MiB. Or a list of rates by the time of day, each with from, to and rate; outside of these times, there is no limit. Local time, see TZ. Minimum: 1KiB. Default: no limit.",
      ),
    tracing: tracingSchema
      .optional()
      .describe(
        "Where traces of pulls are sent, in OpenTelemetry's protocol (OTLP/HTTP): each pull with its look-up, the download that it began or joined, and the requests to registries. A change needs a restart. Default: none, nothing is traced.",
      ),
    cluster: clusterSchema
      .optional()
      .describe(
        "How this cache works together with other replicas: a missing blob is downloaded by one of them, and the others receive it from that one. A change of advertise, members, the secret or the certificate applies at once, and their files are reread when they change; any other change needs a restart. Default: none, this cache works alone.",
      ),
    warm: warmSchema
      .nullish()
      .describe(
        "Lists of images, by name, that are downloaded before anybody pulls them, behind all pulls. Default: none.",
      ),
    readiness: z
      .strictObject({
        pulledWithin: duration
          .optional()
          .describe(
            "How long an image that was pulled counts as wanted: whether all of it is here is looked at, and told by entrepot ready and entrepot_readiness_ratio. 0 for never. Default: 7d.",
          ),
      })
      .nullish()
      .describe("What is wanted, and has to be here if a registry fails."),
    kubernetes: kubernetesSchema
      .nullish()
      .describe(
        "The Kubernetes cluster whose images are wanted: the cache reads its pods and the templates of its workloads, and changes nothing there. Default: none.",
      ),
    policies: policiesSchema
      .optional()
      .describe(
        "Which digests tags may have: how long they must be known. For each image, the first rule that matches decides. See docs/how-to/delay-new-digests.md. Default: none, tags are served as their registries say.",
      ),
    events: eventsSchema
      .optional()
      .describe(
        "Who is told of what happens: registries that limit or fail, a full disk, tags that move. Default: nobody.",
      ),
    audit: z
      .strictObject({
        to: z
          .string()
          .min(1)
          .optional()
          .describe(
            "A file, such as /var/log/entrepot/audit.jsonl, or log: the cache's own log, with the level info. Default: log.",
          ),
        maxSize: size
          .optional()
          .describe(
            "The size at which the file gets the suffix .1, and a new one is begun: in bytes or with a unit. Minimum: 1MiB. Default: 100MiB.",
          ),
        keep: z
          .number()
          .int()
          .min(1)
          .max(1000)
          .optional()
          .describe("How many older files are kept: .1, .2 and so on. 1 to 1000. Default: 10."),
      })
      .optional()
      .describe("One line for each pull: who, what, and what came of it. Default: none."),
    upstreams: z
      .record(
        z
          .string()
          .describe("The registry's name as in image references: a host with an optional port.")
          .meta({ examples: ["ghcr.io", "registry.example:5000"] }),
        upstreamSchema.nullable(),
      )
      .nullish()
      .describe(
        "The registries to cache, by name. They replace the default. Default: docker.io, ghcr.io, quay.io, registry.k8s.io and reg.kyverno.io.",
      ),
  })
  .superRefine(({ warm, kubernetes }, context) => {
    // What is not valid has been said, and is as it was written.
    const lists = kubernetes === undefined && Array.isArray(warm) ? warm : [];
    for (const { name, from } of lists) {
      const at = from.indexOf("cluster");
      const message = "cluster is read only where kubernetes is configured: add it, or omit this";
      if (at >= 0) context.addIssue({ code: "custom", path: ["warm", name, "from", at], message });
    }
  })
  .describe("The configuration file of Entrepot, entrepot.yaml.");

export type FileSettings = z.infer<typeof fileSchema>;
