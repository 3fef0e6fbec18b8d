import { z } from "zod";

/** The JSON that `entrepot node` prints with `--json`. docs/reference has it as a JSON Schema. */

const position = z.strictObject({
  file: z.string().describe("path on the node, without the prefix of --root"),
  line: z.number().optional(),
  column: z.number().optional(),
});

const finding = z.strictObject({
  code: z.string().describe("a stable name of the problem, such as config-path-conflict"),
  severity: z.enum(["error", "warning", "note"]),
  at: position.optional(),
  what: z.string(),
  consequence: z.string(),
  advice: z.string(),
});

const obstacle = z.strictObject({
  code: z.string(),
  at: position.optional(),
  what: z.string(),
  advice: z.string(),
});

const unfinished = z.enum(["apply", "rollback"]).nullable();

/** Of every result, before what is its own. */
const common = {
  runtime: z.string().describe("as --runtime names it"),
  changed: z
    .boolean()
    .describe("whether the node was changed; of plan, whether apply would change it"),
};

const check = z.strictObject({
  command: z.literal("check"),
  ...common,
  facts: z.array(z.strictObject({ name: z.string(), value: z.string() })),
  findings: z.array(finding),
  wired: z
    .strictObject({
      cache: z.string(),
      namespaces: z.array(z.string()).describe("registries that lead to the cache first"),
      lost: z.array(z.string()).describe("registries that were wired and are not any more"),
    })
    .nullable(),
  unfinished: unfinished.describe("the run that was interrupted"),
});

const planFields = {
  desired: z.strictObject({
    cache: z.string(),
    cacheCa: z.string().optional(),
    namespaces: z.array(z.string()),
    useDefault: z.boolean(),
    adopt: z.boolean(),
    replace: z.boolean(),
    dialTimeout: z.string(),
  }),
  changes: z.array(
    z.strictObject({
      path: z.string(),
      kind: z.enum(["config", "hosts", "copy"]),
      why: z.string(),
      before: z.string().nullable().describe("null if there is no file; secrets are hidden"),
      after: z.string().nullable(),
    }),
  ),
  restart: z.string().nullable().describe("why the runtime has to be restarted"),
  restartMethod: z.string().nullable().describe("the command that does it"),
  wired: z.array(z.string()).describe("registries that use the cache once this is applied"),
  asking: z
    .array(z.string())
    .describe(
      "those of them for which the cache asks for credentials; notes says what happens then",
    ),
  notes: z.array(z.string()),
  obstacles: z.array(obstacle).describe("if there is any, apply changes nothing"),
};

const plan = z.strictObject({ command: z.literal("plan"), ...common, ...planFields });

const probe = z.strictObject({
  namespace: z.string(),
  reference: z.string().optional().describe("the image that was pulled"),
  outcome: z.enum(["proven", "unproven", "bypassed", "failed"]),
  detail: z.string(),
});

const apply = z.strictObject({
  command: z.literal("apply"),
  ...common,
  outcome: z.enum(["blocked", "declined", "nothing-to-do", "applied", "reverted", "not-reverted"]),
  plan: z.strictObject(planFields),
  probes: z.array(probe).optional(),
  provenBy: z.string().optional().describe("the program that read the files of another root"),
  journalFailure: z.string().optional(),
  reason: z.string().optional().describe("why it was reverted"),
  notReverted: z.array(z.string()).optional(),
});

const verify = z.strictObject({
  command: z.literal("verify"),
  ...common,
  cache: z.string().nullable().describe("null if this runtime is not wired, and another one is"),
  proven: z.boolean().nullable().describe("whether every registry is proven"),
  namespaces: z.array(
    z.strictObject({
      namespace: z.string(),
      state: z.enum(["proven", "unproven", "failed"]),
      isCacheFirst: z.boolean(),
      route: z.strictObject({
        file: z.string().optional(),
        hosts: z.array(z.string()),
        server: z.string(),
        serverCa: z.array(z.string()),
        problems: z.array(z.string()),
      }),
      upstream: z.strictObject({ url: z.string(), detail: z.string(), isHealthy: z.boolean() }),
      probe,
    }),
  ),
});

const rollback = z.strictObject({
  command: z.literal("rollback"),
  ...common,
  outcome: z.enum(["nothing-to-do", "declined", "blocked", "rolled-back", "partial", "failed"]),
  reason: z.string().nullable(),
  files: z.array(z.string()).describe("the files that were restored"),
  foreign: z
    .array(z.strictObject({ path: z.string(), changedAt: z.number().optional() }))
    .describe("files that were modified since and left as they are"),
  obstacles: z.array(obstacle),
});

const error = z.strictObject({ kind: z.string(), message: z.string() });

const ofRuntime = z.union([
  z.discriminatedUnion("command", [check, plan, apply, verify, rollback]),
  z.strictObject({ runtime: z.string(), error }),
  z
    .strictObject({ runtime: z.string(), skipped: z.string() })
    .describe("a runtime that was found and cannot pull any of the registries through a cache"),
]);

export const nodeOutputSchema = z
  .union([
    ofRuntime.describe("with --runtime, or an option that is about one runtime"),
    z
      .strictObject({
        changed: z.boolean().describe("whether that is so of any of them"),
        runtimes: z.array(ofRuntime),
      })
      .describe("of all runtimes that are installed"),
    z.strictObject({ error }).describe("the command could not be carried out at all"),
  ])
  .describe(
    "What entrepot node check, plan, apply, verify and rollback print with --json. Fields are only added.",
  );
