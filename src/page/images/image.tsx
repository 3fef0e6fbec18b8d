import type { JSX } from "preact";
import type { ImageDetails } from "../../api/images.ts";
import { Action } from "../parts/action.tsx";
import { ago, bytes, counted, shortDigest } from "../parts/format.ts";
import { Empty, Panel, State } from "../parts/panel.tsx";
import { imageHref, nameOf, type View } from "../view.ts";
import { PullCommands } from "./pull-commands.tsx";
import { TagHistory } from "./tag-history.tsx";
import { figures, TableHead } from "../parts/table-head.tsx";

/** All that is known of one image. */
export function Image({
  view: { details, clients, history },
  mayChange,
  now,
}: {
  readonly view: Extract<View, { page: "image" }>;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  const name = nameOf(details);
  return (
    <div class="columns">
      <Panel id="image" title={name}>
        <p class="digest">{details.digest}</p>
        <dl class="facts">
          <div>
            <dt>Size</dt>
            <dd>
              {bytes(details.size)}
              {details.shared === 0
                ? ""
                : `, of which ${bytes(details.shared)} are shared with other images`}
            </dd>
          </div>
          <div>
            <dt>Stored</dt>
            <dd>{details.storedAt === undefined ? "–" : ago(details.storedAt, now)}</dd>
          </div>
          <div>
            <dt>Last used</dt>
            <dd>{details.lastUsed === 0 ? "–" : ago(details.lastUsed, now)}</dd>
          </div>
          <div>
            <dt>Confirmed by its registry</dt>
            <dd>{details.checkedAt === undefined ? "–" : ago(details.checkedAt, now)}</dd>
          </div>
          <div>
            <dt>Pins</dt>
            <dd>{details.pins.join(", ") || "none"}</dd>
          </div>
        </dl>
        {mayChange ? <Orders name={name} pins={details.pins} /> : null}
      </Panel>
      <PullCommands name={name} />
      <Platforms details={details} />
      <Panel id="tags" title="Tags of this digest">
        <List
          items={details.tags}
          empty="No tag points to it: it was pulled by digest, or its tag has moved on."
        />
      </Panel>
      <Panel id="referrers" title="Signatures, SBOMs, attestations">
        <Referrers name={name} referrers={details.referrers} />
      </Panel>
      <TagHistory history={history} mayChange={mayChange} now={now} />
      <Panel id="clients" title="Who pulled it" aside="30 days">
        {clients.items.length === 0 ? (
          <Empty>Nobody in the last 30 days: it was warmed, or pulled before.</Empty>
        ) : (
          <ul>
            {clients.items.map(({ client, name: node, reference, pulledAt, pulls }) => (
              <li key={`${client} ${reference}`}>
                {node ?? client}{" "}
                <span class="note">
                  {counted(pulls, "pull")}, last {ago(pulledAt, now)}
                </span>
              </li>
            ))}
          </ul>
        )}
      </Panel>
    </div>
  );
}

function Orders({
  name,
  pins,
}: {
  readonly name: string;
  readonly pins: readonly string[];
}): JSX.Element {
  return (
    <p class="orders">
      {pins.includes(name) ? (
        <Action method="DELETE" path={`/pins/${encodeURIComponent(name)}`}>
          Unpin
        </Action>
      ) : (
        <Action method="POST" path="/pins" body={{ pattern: name }}>
          Pin
        </Action>
      )}
      <Action method="POST" path="/warm" body={{ images: [name] }} then="/jobs">
        Download what is missing
      </Action>
      <a href={`/purge?pattern=${encodeURIComponent(name)}`}>Purge …</a>
    </p>
  );
}

function Platforms({ details }: { readonly details: ImageDetails }): JSX.Element {
  return (
    <Panel id="platforms" title="Platforms and layers">
      {details.manifests.map(({ platform, digest, isComplete, parts }) => (
        <details key={digest} open={details.manifests.length === 1}>
          <summary>
            {platform ?? shortDigest(digest)}{" "}
            <State tone={isComplete ? "good" : "warn"}>{isComplete ? "complete" : "in part"}</State>
          </summary>
          <table>
            <TableHead columns={["Digest", "Kind", figures("Size"), "Stored"]} />
            <tbody>
              {parts.map((part) => (
                <tr key={part.digest}>
                  <td title={`${part.digest} ${part.mediaType ?? ""}`}>
                    <code>{shortDigest(part.digest)}</code>
                  </td>
                  <td>{kindOf(part.mediaType)}</td>
                  <td class="number">{bytes(part.size)}</td>
                  <td>{part.isStored ? (part.isShared ? "yes, shared" : "yes") : "missing"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      ))}
    </Panel>
  );
}

/** What a part of an image is, by its media type. */
function kindOf(mediaType = ""): string {
  if (/\bmanifest\b|\bindex\b/.test(mediaType)) return "manifest";
  if (/\bconfig\b|container\.image\.v1\+json/.test(mediaType)) return "config";
  return /layer|rootfs/.test(mediaType) ? "layer" : "–";
}

function Referrers({
  name,
  referrers,
}: {
  readonly name: string;
  readonly referrers: ImageDetails["referrers"];
}): JSX.Element {
  if (referrers === undefined)
    return (
      <Empty>
        Not known: no client has asked the registry for them yet.{" "}
        <code>entrepot warm --referrers {name}</code> fetches them.
      </Empty>
    );
  if (referrers.length === 0) return <Empty>Its registry has none.</Empty>;
  return (
    <ul>
      {referrers.map(({ digest, artifactType }) => (
        <li key={digest}>
          {artifactType ?? "unknown type"} <code title={digest}>{shortDigest(digest)}</code>
        </li>
      ))}
    </ul>
  );
}

function List({
  items,
  empty,
}: {
  readonly items: readonly string[];
  readonly empty: string;
}): JSX.Element {
  if (items.length === 0) return <Empty>{empty}</Empty>;
  return (
    <ul>
      {items.map((item) => (
        <li key={item}>
          <a href={imageHref(item)}>{item}</a>
        </li>
      ))}
    </ul>
  );
}
