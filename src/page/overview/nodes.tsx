import type { JSX } from "preact";
import type { Node } from "../../api/nodes.ts";
import { ago, integer } from "../parts/format.ts";
import { Empty, Panel, Scrolling, State, type Tone } from "../parts/panel.tsx";
import { TableHead } from "../parts/table-head.tsx";

type Wiring = NonNullable<Node["wired"]>;

const TONES: Readonly<Record<Wiring["state"], Tone>> = {
  proved: "good",
  wired: "calm",
  drifted: "warn",
  unwired: "bad",
};

export function Nodes({
  nodes,
  count,
  now,
}: {
  readonly nodes: readonly Node[];
  readonly count: number;
  readonly now: number;
}): JSX.Element {
  return (
    <Panel id="nodes" title="Nodes" aside={count === 0 ? undefined : integer(count)}>
      {nodes.length === 0 ? (
        <Empty>
          No node has pulled yet. <code>entrepot node apply</code> on a node has its runtime pull
          through this cache.
        </Empty>
      ) : (
        <Scrolling label="Nodes">
          <table>
            <TableHead columns={[{ title: "Node", kind: "main" }, "Last pull", "Wiring"]} />
            <tbody>
              {nodes.map((node) => (
                <Row key={node.address} node={node} now={now} />
              ))}
            </tbody>
          </table>
        </Scrolling>
      )}
    </Panel>
  );
}

function Row({ node, now }: { readonly node: Node; readonly now: number }): JSX.Element {
  const { address, name, lastPullAt, runtime, version, wired } = node;
  return (
    <tr>
      <th scope="row" class="main" title={address}>
        {name ?? address}
        <span class="note line">
          {runtime === undefined ? "unknown runtime" : `${runtime} ${version ?? ""}`}
        </span>
      </th>
      <td>{lastPullAt === undefined ? "–" : ago(lastPullAt, now)}</td>
      <td title={wired?.how}>
        {wired === undefined ? (
          <span class="note">not reported</span>
        ) : (
          <>
            <State tone={TONES[wired.state]}>{wired.state}</State>
            {wired.provedAt === undefined ? null : (
              <span class="note line">{ago(wired.provedAt, now)}</span>
            )}
          </>
        )}
      </td>
    </tr>
  );
}
