import type { JSX } from "preact";
import type { Pull, PullResult } from "../../api/pulls.ts";
import { ago, bytes, duration } from "../parts/format.ts";
import { Empty, Panel, Scrolling, State, type Tone } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";
import { figures, TableHead } from "../parts/table-head.tsx";

const TONES: Readonly<Record<PullResult, Tone>> = {
  hit: "good",
  revalidated: "good",
  collapsed: "good",
  miss: "calm",
  stale: "warn",
  bypass: "warn",
  refused: "bad",
};

export function Pulls({
  pulls,
  now,
}: {
  readonly pulls: readonly Pull[];
  readonly now: number;
}): JSX.Element {
  return (
    <Panel id="pulls" title="Pulls" aside="live">
      {pulls.length === 0 ? (
        <Empty>
          Nothing was pulled since the cache started. <code>entrepot node check</code> on a node
          says that its pulls come here.
        </Empty>
      ) : (
        <Scrolling label="Pulls">
          <table>
            <TableHead
              columns={[
                "Result",
                { title: "Image and reason", kind: "main" },
                "Client",
                figures("Sent"),
                figures("When"),
              ]}
            />
            <tbody>
              {pulls.map((pull) => (
                <Row key={pull.id} pull={pull} now={now} />
              ))}
            </tbody>
          </table>
        </Scrolling>
      )}
    </Panel>
  );
}

function Row({ pull, now }: { readonly pull: Pull; readonly now: number }): JSX.Element {
  return (
    <tr data-result={pull.result}>
      <td>
        <State tone={TONES[pull.result]}>{pull.result}</State>
      </td>
      <th scope="row" class="main" title={pull.image}>
        {pull.image}
        {pull.reason === undefined ? null : (
          <span class="note line reason">
            <Prose text={pull.reason} />
          </span>
        )}
      </th>
      <td title={pull.runtime}>{pull.client}</td>
      <td class="number" title={pull.isDone ? `in ${duration(pull.ms)}` : "under way"}>
        {bytes(pull.bytes)}
      </td>
      <td class="number">{ago(pull.at, now)}</td>
    </tr>
  );
}
