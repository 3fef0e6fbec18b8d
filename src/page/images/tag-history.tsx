import type { JSX } from "preact";
import type { TagHistory as TagHistoryFacts } from "../../api/tag-history.ts";
import { Action } from "../parts/action.tsx";
import { ago, shortDigest, until as untilText } from "../parts/format.ts";
import { OverridesTable, REASON } from "../parts/overrides-table.tsx";
import { Empty, Panel, Scrolling, State } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";
import { TableHead } from "../parts/table-head.tsx";

interface Shown {
  readonly history: TagHistoryFacts;
  readonly mayChange: boolean;
  readonly now: number;
}

/** What a tag was, what is served of it, and why. */
export function TagHistory({
  history,
  mayChange,
  now,
}: Omit<Shown, "history"> & { readonly history: TagHistoryFacts | undefined }): JSX.Element {
  if (history === undefined || history.stays.length === 0) {
    return (
      <Panel id="tag-history" title="What its tag was">
        <Empty>No digest of a tag is known since this cache has known it.</Empty>
      </Panel>
    );
  }
  const { image, served, hold, overrides } = history;
  const active = overrides.filter(({ isActive }) => isActive);
  return (
    <Panel id="tag-history" title="What its tag was">
      {hold ? (
        <p class="warn">
          {served === undefined ? "It is not served: " : ""}
          <Prose text={hold.text} />
          {hold.until === undefined ? "" : ` (it ends by itself ${untilText(hold.until, now)})`}
        </p>
      ) : null}
      <Stays history={history} mayChange={mayChange} now={now} />
      {mayChange && hold && hold.because !== "frozen" ? (
        <p class="orders">
          <Action
            method="POST"
            path="/overrides"
            body={{
              kind: "release",
              image,
              reason: REASON,
              isUnverified: hold.because === "unverified",
            }}
            question="Nodes get what its registry says. Release it?"
          >
            Release
          </Action>
        </p>
      ) : null}
      {active.length === 0 ? null : (
        <OverridesTable overrides={active} mayChange={mayChange} now={now} />
      )}
    </Panel>
  );
}

function Stays({ history: { image, stays, served }, mayChange, now }: Shown): JSX.Element {
  const [current] = stays;
  const servedAt = stays.findIndex(({ digest }) => digest === served);
  return (
    <Scrolling label="Digests of the tag" isWide>
      <table>
        <TableHead columns={["Digest", "First seen", "Last seen", "Here", "Now", "Order"]} />
        <tbody>
          {stays.map(({ digest, firstSeen, lastSeen, source, isStored, verification }, index) => (
            <tr key={firstSeen} data-stay={digest}>
              <th scope="row">
                <code title={source === undefined ? digest : `${digest}, by ${source}`}>
                  {shortDigest(digest)}
                </code>
              </th>
              <td>{ago(firstSeen, now)}</td>
              <td>{ago(lastSeen, now)}</td>
              <td>{isStored ? "yes" : "no"}</td>
              <td>
                {index === servedAt ? <State tone="good">served</State> : null}
                {index === 0 && index !== servedAt ? <State tone="calm">registry</State> : null}
                {verification?.outcome === "failed" ? (
                  <State tone="bad">signatures fail</State>
                ) : null}
              </td>
              <td>
                {mayChange && digest !== served && digest !== current?.digest ? (
                  <Action
                    method="POST"
                    path="/overrides"
                    body={{ kind: "rollback", image, to: digest, reason: REASON }}
                    question={`Nodes get ${shortDigest(digest)} for ${image}, until that is ended. Roll back?`}
                  >
                    Roll back to it
                  </Action>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
