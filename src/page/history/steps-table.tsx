import type { JSX } from "preact";
import type { HistoryAnswer } from "../../api/history.ts";
import { bytes, duration, integer } from "../parts/format.ts";
import { Moment } from "../parts/moment.tsx";
import { Empty, Scrolling } from "../parts/panel.tsx";
import { figures, TableHead } from "../parts/table-head.tsx";
import { stepsOf } from "./steps.ts";

/** What the chart shows, for those who cannot see it, and without scripts. */
export function StepsTable({ history }: { readonly history: HistoryAnswer }): JSX.Element {
  const busy = stepsOf(history).filter(({ requests, fetchedBytes, failed }) => {
    return requests + fetchedBytes + failed > 0;
  });
  const step = duration(history.step);
  return (
    <details class="steps">
      <summary>The chart as a table</summary>
      {busy.length === 0 ? (
        <Empty>Nothing was requested or downloaded in this period.</Empty>
      ) : (
        <>
          <p class="note">Steps of {step}, the latest first. Steps without traffic are left out.</p>
          <Scrolling label="The chart as a table" isWide>
            <table>
              <TableHead
                columns={[
                  "From",
                  figures("Requests"),
                  figures("From the cache"),
                  figures("Sent to nodes"),
                  figures("Downloaded"),
                  figures("Failed or limited"),
                ]}
              />
              <tbody>
                {busy.toReversed().map((one) => (
                  <tr key={one.at}>
                    <th scope="row">
                      <Moment at={one.at} />
                    </th>
                    <td class="number">{integer(one.requests)}</td>
                    <td class="number">{integer(one.fromCache)}</td>
                    <td class="number">{bytes(one.sentBytes)}</td>
                    <td class="number">{bytes(one.fetchedBytes)}</td>
                    <td class="number">{integer(one.failed)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scrolling>
        </>
      )}
    </details>
  );
}
