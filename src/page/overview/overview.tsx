import type { JSX } from "preact";
import type { Overview as OverviewFacts } from "../../api/overview.ts";
import { Disk } from "./disk.tsx";
import { Downloads } from "./downloads.tsx";
import { Health } from "./health.tsx";
import { Nodes } from "./nodes.tsx";
import { Pulls } from "./pulls.tsx";
import { Registries } from "./registries.tsx";
import { Saved } from "./saved.tsx";

/** What an operator sees first. */
export function Overview({ overview }: { readonly overview: OverviewFacts }): JSX.Element {
  const { at, health, registries, downloads, disk, nodes, nodeCount, pulls, readiness } = overview;
  return (
    <div class="overview">
      <Health health={health} readiness={readiness} />
      <Saved overview={overview} />
      <Registries registries={registries} now={at} />
      <Disk disk={disk} />
      <Downloads downloads={downloads} />
      <Nodes nodes={nodes} count={nodeCount} now={at} />
      <Pulls pulls={pulls} now={at} />
    </div>
  );
}
