import type { JSX } from "preact";
import type { HistoryAnswer } from "../../api/history.ts";
import { bytes, counted, duration, integer, percent } from "../parts/format.ts";
import { Empty, Panel, Scrolling } from "../parts/panel.tsx";
import type { Period, View } from "../view.ts";
import { StepsTable } from "./steps-table.tsx";
import { TrafficChart } from "./traffic-chart.tsx";
import { figures, TableHead } from "../parts/table-head.tsx";

const PERIODS = [
  { period: "day", title: "24 hours" },
  { period: "week", title: "7 days" },
  { period: "month", title: "30 days" },
] as const satisfies readonly { readonly period: Period; readonly title: string }[];

/** What nodes got and what was downloaded for it, over a day, a week or a month. */
export function History({
  view: { period, history },
}: {
  readonly view: Extract<View, { page: "history" }>;
}): JSX.Element {
  const { saved, upstreams } = history;
  return (
    <div class="stack">
      <Panel id="traffic" title="Traffic" aside={<Periods current={period} />}>
        <p>
          <strong>{bytes(saved.bytes)}</strong> not downloaded, {counted(saved.hubRequests, "pull")}{" "}
          not counted by Docker Hub, {duration(saved.secondsNotWaited * 1000)} of waiting saved
        </p>
        <TrafficChart history={history} />
        <StepsTable history={history} />
      </Panel>
      <Panel id="traffic-by-registry" title="By registry">
        {upstreams.length === 0 ? (
          <Empty>
            No pull in this period. <code>entrepot node apply</code> on a node has its runtime pull
            through this cache.
          </Empty>
        ) : (
          <Scrolling label="Traffic by registry" isWide>
            <table>
              <TableHead
                columns={[
                  "Registry",
                  figures("Requests"),
                  figures("From the cache"),
                  figures("Sent to nodes"),
                  figures("Downloaded"),
                  figures("Failed or limited"),
                ]}
              />
              <tbody>
                {upstreams.map((upstream) => (
                  <Row key={upstream.name} upstream={upstream} />
                ))}
              </tbody>
            </table>
          </Scrolling>
        )}
      </Panel>
    </div>
  );
}

function Periods({ current }: { readonly current: Period }): JSX.Element {
  return (
    <span class="periods">
      {PERIODS.map(({ period, title }) => (
        <a key={period} href={`/history?period=${period}`} aria-current={period === current}>
          {title}
        </a>
      ))}
    </span>
  );
}

function Row({ upstream }: { readonly upstream: HistoryAnswer["upstreams"][number] }): JSX.Element {
  const requests = sum(upstream.requests);
  return (
    <tr>
      <th scope="row">{upstream.name}</th>
      <td class="number">{integer(requests)}</td>
      <td class="number">
        {percent(requests === 0 ? undefined : sum(upstream.fromCache) / requests)}
      </td>
      <td class="number">{bytes(sum(upstream.sentBytes))}</td>
      <td class="number">{bytes(sum(upstream.fetchedBytes))}</td>
      <td class="number">{integer(sum(upstream.failed) + sum(upstream.limited))}</td>
    </tr>
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
