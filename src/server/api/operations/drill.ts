import { drillOrderSchema, drillSchema, drillsSchema } from "../../../api/drill.ts";
import { UPSTREAM_ALIASES } from "../../../config/settings.ts";
import { DrillError, type Drills } from "../../../drill/drills.ts";
import { operation, type Operation } from "../operation.ts";
import { ProblemError } from "../problem-details.ts";

export interface DrillParts {
  readonly drills: Pick<Drills, "all" | "begin" | "stop">;
  /** The names of all upstreams. */
  readonly upstreams: () => readonly string[];
}

export function drillOperations({ drills, upstreams }: DrillParts): Operation[] {
  return [
    operation({
      id: "getDrill",
      method: "GET",
      path: "/drill",
      tag: "drill",
      summary: "The drill that goes on, and the last one",
      right: "read",
      answer: drillsSchema,
      handle: () => drills.all,
    }),
    operation({
      id: "beginDrill",
      method: "POST",
      path: "/drill",
      tag: "drill",
      summary: "Has upstreams count as dead for a while, inside this cache alone",
      description:
        "Every request to them fails as if nothing answered, and pulls get what is here. Nodes go on to the registries themselves. It ends by itself, also if the cache crashes or is restarted meanwhile.",
      right: "admin",
      body: drillOrderSchema,
      status: 201,
      answer: drillSchema,
      refusals: [404, 409],
      handle({ body: { upstreams: written, seconds } }) {
        const known = upstreams();
        const names = written.map(nameOf);
        const unknown = names.find((name) => !known.includes(name));
        if (unknown !== undefined) {
          const detail = `${JSON.stringify(unknown)} is not cached here`;
          const next = `name some of these: ${known.join(", ")}`;
          throw new ProblemError({ status: 404, detail, next });
        }
        return refusing(() => drills.begin(names, seconds));
      },
    }),
    operation({
      id: "endDrill",
      method: "DELETE",
      path: "/drill",
      tag: "drill",
      summary: "Ends the drill that goes on, and reports it",
      right: "admin",
      answer: drillSchema,
      refusals: [409],
      handle: () => refusing(() => drills.stop()),
    }),
  ];
}

/** As it is configured: Docker Hub has several names. */
function nameOf(written: string): string {
  const name = written.toLowerCase();
  return UPSTREAM_ALIASES.get(name) ?? name;
}

const NEXT: Readonly<Record<DrillError["kind"], string>> = {
  "under-way": "wait for its end, or end it with entrepot drill stop",
  none: "begin one with entrepot drill --down NAME",
};

/** @throws ProblemError where it would be a DrillError */
async function refusing<Value>(work: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DrillError)) throw error;
    const problem = { status: 409, detail: error.message, next: NEXT[error.kind] } as const;
    throw new ProblemError(problem, { cause: error });
  }
}
