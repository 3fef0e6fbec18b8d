import { z } from "zod";

const moment = z.number().describe("milliseconds since the epoch");

/** What a node last told of its own wiring, by `entrepot node … --report`. */
export const wiringReportSchema = z
  .object({
    state: z
      .enum(["proved", "wired", "drifted", "unwired"])
      .describe(
        "`proved`: a pull through the runtime was seen here; `wired`: it is configured, and not proved; `drifted`: something else has changed the wiring",
      ),
    reportedAt: moment,
    provedAt: moment.optional().describe("when it was last proved by a pull"),
    how: z.string().optional().describe("what proved it, or what is wrong"),
    runtimes: z.array(z.string()).describe("`containerd`, `docker`: what is wired on it"),
    version: z.string().optional().describe("of the entrepot that reported it"),
  })
  .meta({ id: "WiringReport" });

export type WiringReport = z.infer<typeof wiringReportSchema>;

/** With the interface at which it is known: `fe80::1%eth0`. */
const LINK_LOCAL = /^fe80:[0-9a-f:]{1,40}%[a-zA-Z0-9._-]{1,20}$/i;

/** What a node tells of itself. */
export const nodeReportSchema = z.strictObject({
  address: z
    .union([z.ipv4(), z.ipv6(), z.string().regex(LINK_LOCAL)], "is not an IP address")
    .describe("as the cache sees it: GET /entrepot/v1/served at the port for nodes tells it"),
  name: z
    .string()
    .max(253)
    .regex(/^[a-zA-Z0-9._-]+$/, "is not a host name")
    .optional(),
  state: wiringReportSchema.shape.state,
  how: z.string().max(500).optional(),
  runtimes: z.array(z.string().max(40)).max(16),
  version: z.string().max(40).optional(),
});

/** A machine that pulls, or that reported its wiring. */
export const nodeSchema = z
  .object({
    address: z.string(),
    name: z.string().optional().describe("by its own report"),
    lastPullAt: moment.optional(),
    requests: z.int().describe("since the cache started"),
    runtime: z.string().optional().describe("`containerd`, by the user agent"),
    version: z.string().optional().describe("of that runtime"),
    wired: wiringReportSchema.optional(),
  })
  .meta({ id: "Node" });

export type Node = z.infer<typeof nodeSchema>;
