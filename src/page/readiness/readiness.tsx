import type { JSX } from "preact";
import type { WantedImageState } from "../../api/readiness.ts";
import { Action } from "../parts/action.tsx";
import { ago, bytes, counted, duration, integer, percent } from "../parts/format.ts";
import { Empty, Panel, Scrolling, State, type Tone } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";
import { imageHref, type View } from "../view.ts";
import { figures, TableHead } from "../parts/table-head.tsx";

const TONES: Readonly<Record<WantedImageState["state"], Tone>> = {
  ready: "good",
  partial: "warn",
  missing: "bad",
  uncached: "bad",
};

/** Whether all that is wanted could start if a registry died now. */
export function Readiness({
  view: { readiness },
  mayChange,
  now,
}: {
  readonly view: Extract<View, { page: "readiness" }>;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  const { sentence, wanted, ready, upstreams, sources, checkedAt, items, cut } = readiness;
  const isReady = ready === wanted && sources.every(({ unread = false }) => !unread);
  const lacking = items.filter(({ state }) => state !== "ready" && state !== "uncached");
  return (
    <div class="stack">
      <section class={`health ${isReady ? "ok" : "degraded"}`} aria-labelledby="sentence">
        <h2 id="sentence" class="sentence">
          <Prose text={sentence} />
        </h2>
        <p class="note">
          Checked {ago(checkedAt, now)}. <a href="/readiness?fresh=true">Check again</a>
          {cut === undefined ? "" : ` ${integer(cut)} more were not checked.`}
        </p>
        {mayChange && lacking.length > 0 ? (
          <p class="orders">
            <Action method="POST" path="/readiness/fix" then="/jobs">
              Download what is missing
            </Action>
          </p>
        ) : null}
      </section>
      <div class="pair">
        <Panel id="by-registry" title="By registry">
          {upstreams.length === 0 ? (
            <Empty>No registry: no image is known to be wanted.</Empty>
          ) : (
            <Scrolling label="Readiness by registry" isWide>
              <table>
                <TableHead
                  columns={["Registry", figures("Ready"), figures("Wanted"), figures("Ratio")]}
                />
                <tbody>
                  {upstreams.map((upstream) => (
                    <tr key={upstream.name}>
                      <th scope="row">{upstream.name}</th>
                      <td class="number">{integer(upstream.ready)}</td>
                      <td class="number">{integer(upstream.wanted)}</td>
                      <td class="number">{percent(upstream.ratio)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scrolling>
          )}
        </Panel>
        <Panel id="sources" title="Who wants images">
          <ul>
            {sources.map(({ name, images, problem, unread = false }) => (
              <li key={name}>
                {SOURCES[name] ?? name}: {unread ? "not read yet" : counted(images, "image")}{" "}
                {problem === undefined ? null : (
                  <span class="note line bad">
                    <Prose text={problem} />
                  </span>
                )}
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel id="wanted" title="Wanted images">
        {items.length === 0 ? (
          <Empty>
            {sources.some(({ unread = false }) => unread) ? (
              "Not known yet: a source could not be read. Above it says why."
            ) : (
              <>
                No image is wanted: no list under <code>warm</code>, no <code>kubernetes</code>{" "}
                cluster in the configuration file, and nothing was pulled in the last days. Pull
                through the cache, or add one of these.
              </>
            )}
          </Empty>
        ) : (
          <Scrolling label="Wanted images" isWide>
            <table>
              <TableHead
                columns={[
                  "State",
                  "Image",
                  "Platforms",
                  figures("Missing"),
                  "Tag served offline",
                  "Wanted by",
                ]}
              />
              <tbody>
                {items.map((item) => (
                  <Row key={item.image} item={item} now={now} />
                ))}
              </tbody>
            </table>
          </Scrolling>
        )}
        {readiness.next === undefined ? null : (
          <nav class="paging" aria-label="More images">
            <a href={`/readiness?cursor=${encodeURIComponent(readiness.next)}`}>Next page</a>
          </nav>
        )}
      </Panel>
    </div>
  );
}

function Row({
  item,
  now,
}: {
  readonly item: WantedImageState;
  readonly now: number;
}): JSX.Element {
  const { image, state, platforms, missing, servedUntil, wantedBy, reason } = item;
  return (
    <tr>
      <td>
        <State tone={TONES[state]}>{state}</State>
      </td>
      <th scope="row" class="breaks">
        {state === "ready" ? <a href={imageHref(image)}>{image}</a> : image}
        {reason === undefined ? null : (
          <span class="note line">
            <Prose text={reason} />
          </span>
        )}
      </th>
      <td class="breaks">{platforms.join(", ")}</td>
      <td class="number">
        {missing === undefined ? "–" : `${counted(missing.blobs, "blob")}, ${bytes(missing.bytes)}`}
      </td>
      <td>{offlineText(servedUntil, now)}</td>
      <td class="breaks">{wantedBy.join(", ")}</td>
    </tr>
  );
}

/** How long its tag is still answered while its registry is not. */
function offlineText(servedUntil: number | undefined, now: number): string {
  if (servedUntil === undefined) return "for ever";
  return servedUntil <= now ? "no longer" : `for ${duration(servedUntil - now)}`;
}

/** Where it is known from what is wanted, in words. */
const SOURCES: Readonly<Record<string, string>> = {
  cluster: "The Kubernetes cluster",
  lists: "Lists under warm in the configuration file",
  pulls: "Pulls of the last days (readiness.pulledWithin)",
};
