import type { Metrics } from "../../../telemetry/metrics.ts";
import type { EffectiveConfiguration } from "../live-settings.ts";

type Rejected = Pick<EffectiveConfiguration, "problems" | "readAt">;

/** What is wrong with the configuration on the disk, where the cache goes on with the one from before. */
export function configurationProblem({ problems, readAt }: Rejected): string | undefined {
  const [problem, ...others] = problems;
  if (problem === undefined) return undefined;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  const since = readAt === undefined ? "from before" : `of ${momentText(readAt)}`;
  return `the configuration is rejected: ${problem.replace(/\.$/, "")}${more}. The cache runs with the configuration ${since}; entrepot reload once it is mended`;
}

/** `14:30 UTC`, with the day if that is not today: operators and the cache need not be in the same zone. */
function momentText(moment: number): string {
  const [day = "", time = ""] = new Date(moment).toISOString().split("T");
  const isToday = day === new Date().toISOString().slice(0, day.length);
  return `${isToday ? "" : `${day} `}${time.slice(0, 5)} UTC`;
}

/** Registers whether the configuration on the disk is in use, as Prometheus says it of its own. */
export function measureConfiguration(metrics: Metrics, read: () => Rejected): void {
  metrics.gauge(
    "entrepot_configuration_last_reload_successful",
    "1 if the configuration was valid when it was read last, else 0: then the one from before is in use.",
    () => (read().problems.length === 0 ? 1 : 0),
  );
}
