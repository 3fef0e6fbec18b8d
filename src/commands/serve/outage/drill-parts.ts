import { join } from "node:path";
import { printable } from "../../../printable.ts";
import type { Drill } from "../../../api/drill.ts";
import type { ReadinessReport } from "../../../api/readiness.ts";
import { DrillFile } from "../../../drill/drill-file.ts";
import { Drills, timeText } from "../../../drill/drills.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { drillOperations } from "../../../server/api/operations/drill.ts";
import type { RequestRecord } from "../../../server/pull/request-record.ts";
import type { LocalProblems } from "../../../telemetry/local-problems.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { Outages } from "../../../upstream/outages.ts";
import type { Registry } from "../../../upstream/registry.ts";
import { drilledRequest } from "./drilled-request.ts";

const HELP = "1 while the upstream counts as dead in a drill (entrepot drill), else 0.";

export interface DrillPartsOptions {
  readonly storage: { readonly path: string };
  readonly outages: Outages;
  readonly upstreams: ReadonlyMap<string, { readonly registry: Pick<Registry, "outageEnded"> }>;
  readonly localProblems: LocalProblems;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Which of the images that are wanted are here. */
  readonly readiness?: () => Promise<Pick<ReadinessReport, "items">>;
}

/** Drills, and how they are told: loudly, since pulls fail in them. */
export class DrillParts implements Disposable {
  readonly #drills: Drills;
  readonly operations: readonly Operation[];

  constructor(options: DrillPartsOptions) {
    const { storage, outages, upstreams, localProblems, metrics, log, readiness } = options;
    const names = (): string[] => [...upstreams.keys()];
    this.#drills = new Drills({
      outages,
      file: new DrillFile(join(storage.path, "drill.json")),
      ...(readiness ? { unready: async (dead) => unreadyOf(dead, await readiness()) } : {}),
      events: {
        begun: (drill) => localProblems.notice("drill", begunText(drill), { stays: true }),
        ended({ upstreams: dead, requests }) {
          for (const name of dead) upstreams.get(name)?.registry.outageEnded();
          localProblems.over("drill");
          log.info({ upstreams: dead, ...requests }, "a drill is over");
        },
        failed(error) {
          const reason = printable(error instanceof Error ? error.message : String(error));
          log.warn({ reason }, "a drill will not be remembered over a restart as it is now");
        },
      },
    });
    this.operations = drillOperations({ drills: this.#drills, upstreams: names });
    metrics.gauges("entrepot_drill", HELP, ["upstream"], () =>
      names().map((name) => ({
        labels: [name],
        value: this.#drills.upstreams.includes(name) ? 1 : 0,
      })),
    );
  }

  /** Called for each request: it costs nothing while no drill goes on. */
  record(record: RequestRecord): void {
    if (!this.#drills.isUnderWay) return;
    const request = drilledRequest(record);
    if (request) this.#drills.count(request);
  }

  [Symbol.dispose](): void {
    this.#drills[Symbol.dispose]();
  }
}

function unreadyOf(
  upstreams: readonly string[],
  { items }: Pick<ReadinessReport, "items">,
): NonNullable<Drill["unready"]> {
  return items
    .filter(({ image, state }) => {
      const isOfThem = upstreams.some((name) => image.startsWith(`${name}/`));
      return isOfThem && state !== "ready";
    })
    .map(({ image, state, reason = state }) => ({ image, reason }));
}

function begunText({ upstreams, endsAt }: Drill): string {
  const [are, they] = upstreams.length === 1 ? ["counts", "it"] : ["count", "them"];
  const until = timeText(endsAt);
  return `in a drill, ${upstreams.join(", ")} ${are} as dead until ${until}: pulls get what is here, and nothing is asked of ${they}`;
}
