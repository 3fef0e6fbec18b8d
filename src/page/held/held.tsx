import type { JSX } from "preact";
import type { Held as HeldFacts } from "../../api/tag-history.ts";
import { Action } from "../parts/action.tsx";
import { ago, counted, shortDigest, until as untilText } from "../parts/format.ts";
import { firstRows, Rest } from "../parts/first-rows.tsx";
import { OverridesTable, REASON, shortened } from "../parts/overrides-table.tsx";
import { Empty, Panel, Scrolling, State } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";
import { TableHead } from "../parts/table-head.tsx";
import { imageHref, type View } from "../view.ts";

/** What is not served as its registry says, and what operators decided. */
export function Held({
  view: { held, overrides },
  mayChange,
  now,
}: {
  readonly view: Extract<View, { page: "held" }>;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  const active = overrides.filter(({ isActive }) => isActive);
  return (
    <div class="stack">
      <Panel id="held" title="Tags that are held" aside={counted(held.tags.length, "tag")}>
        {held.tags.length === 0 ? (
          <Empty>
            None of the tags that were asked for lately. With <code>policies</code>, a tag that has
            moved keeps the digest before, until the new one is old enough.
          </Empty>
        ) : (
          <Tags tags={firstRows(held.tags)} mayChange={mayChange} now={now} />
        )}
        <Rest count={held.tags.length} command="entrepot history" />
      </Panel>
      <Panel
        id="unverified"
        title="Signatures that fail"
        aside={counted(held.unverified.length, "digest")}
      >
        {held.unverified.length === 0 ? (
          <Empty>
            None of those that were looked at, where <code>verify</code> asks for any.
          </Empty>
        ) : (
          <Unverified items={firstRows(held.unverified)} now={now} />
        )}
        <Rest count={held.unverified.length} command="entrepot history" />
      </Panel>
      <Panel id="overrides" title="Overrides" aside={counted(active.length, "override")}>
        {active.length === 0 ? (
          <Empty>
            No <code>entrepot release</code>, <code>hold</code>, <code>rollback</code> or{" "}
            <code>freeze</code> holds.
          </Empty>
        ) : (
          <OverridesTable overrides={firstRows(active)} mayChange={mayChange} now={now} />
        )}
        <Rest count={active.length} command="entrepot overrides" />
      </Panel>
    </div>
  );
}

function Tags({
  tags,
  mayChange,
  now,
}: {
  readonly tags: Readonly<HeldFacts["tags"]>;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  return (
    <Scrolling label="Tags that are held" isWide>
      <table>
        <TableHead columns={[{ title: "Image", kind: "main" }, "Served", "Until", "Order"]} />
        <tbody>
          {tags.map(({ image, served, hold }) => (
            <tr key={image} data-held={image}>
              <th scope="row" class="main breaks">
                <a href={imageHref(image)}>{image}</a>
                <span class="note line">
                  <Prose text={hold.text} />
                </span>
              </th>
              <td>
                {served === undefined ? (
                  <State tone="warn">refused</State>
                ) : (
                  <code title={served}>{shortDigest(served)}</code>
                )}
              </td>
              <td>{hold.until === undefined ? "–" : untilText(hold.until, now)}</td>
              <td>{mayChange ? <Release image={image} hold={hold} /> : null}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}

function Release({
  image,
  hold: { because },
}: {
  readonly image: string;
  readonly hold: HeldFacts["tags"][number]["hold"];
}): JSX.Element | null {
  // A freeze is of many tags, and is ended below.
  if (because === "frozen") return null;
  const isUnverified = because === "unverified";
  const body = { kind: "release", image, reason: REASON, isUnverified };
  const nonetheless = isUnverified ? ", though its signatures fail" : "";
  return (
    <Action
      method="POST"
      path="/overrides"
      body={body}
      question={`Nodes get what its registry says${nonetheless}. Release it?`}
    >
      Release
    </Action>
  );
}

function Unverified({
  items,
  now,
}: {
  readonly items: Readonly<HeldFacts["unverified"]>;
  readonly now: number;
}): JSX.Element {
  return (
    <Scrolling label="Signatures that fail" isWide>
      <table>
        <TableHead columns={[{ title: "Image", kind: "main" }, "Rule", "Looked at"]} />
        <tbody>
          {items.map(({ image, mode, detail, verifiedAt }) => (
            <tr key={image} data-unverified={image}>
              <th scope="row" class="main breaks">
                {shortened(image)}
                <span class="note line">{detail}</span>
              </th>
              <td>
                <State tone={mode === "enforce" ? "bad" : "warn"}>
                  {mode === "enforce" ? "enforces: not served" : "observes: served"}
                </State>
              </td>
              <td>{ago(verifiedAt, now)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
