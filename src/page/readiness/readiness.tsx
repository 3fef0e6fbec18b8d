import type { JSX } from "preact";
import type { WantedImageState } from "../../api/readiness.ts";
import { Action } from "../parts/action.tsx";
import { ago, bytes, counted, integer, percent, until } from "../parts/format.ts";
import { Empty, Panel, State, type Tone } from "../parts/panel.tsx";
import { imageHref, type View } from "../view.ts";

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
          {sentence}
        </h2>
        <p class="note">
          Looked at {ago(checkedAt, now)}. <a href="/readiness?fresh=true">Look again</a>
          {cut === undefined ? "" : ` ${integer(cut)} more were not looked at.`}
        </p>
        {mayChange && lacking.length > 0 ? (
          <p class="orders">
            <Action method="POST" path="/readiness/fix" then="/jobs">
              Warm what is missing
            </Action>
          </p>
        ) : null}
      </section>
      <div class="pair">
        <Panel id="by-registry" title="By registry">
          <div class="wide-table" role="group" aria-label="Readiness by registry" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Registry</th>
                  <th scope="col" class="number">
                    Ready
                  </th>
                  <th scope="col" class="number">
                    Wanted
                  </th>
                  <th scope="col" class="number">
                    Ratio
                  </th>
                </tr>
              </thead>
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
          </div>
        </Panel>
        <Panel id="sources" title="Who wants images">
          <ul>
            {sources.map(({ name, images, problem, unread = false }) => (
              <li key={name}>
                {name}: {unread ? "not read yet " : integer(images)}
                {problem === undefined ? null : <span class="note bad">{problem}</span>}
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel id="wanted" title="Wanted images">
        {items.length === 0 ? (
          <Empty>Nothing is wanted: no list, no cluster, and nothing was pulled of late.</Empty>
        ) : (
          <div class="wide-table" role="group" aria-label="Wanted images" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  <th scope="col">State</th>
                  <th scope="col">Image</th>
                  <th scope="col">Platforms</th>
                  <th scope="col" class="number">
                    Missing
                  </th>
                  <th scope="col">Tag served</th>
                  <th scope="col">Wanted by</th>
                </tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <Row key={item.image} item={item} now={now} />
                ))}
              </tbody>
            </table>
          </div>
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
        {reason === undefined ? null : <span class="note line">{reason}</span>}
      </th>
      <td class="breaks">{platforms.join(", ")}</td>
      <td class="number">
        {missing === undefined ? "" : `${counted(missing.blobs, "blob")}, ${bytes(missing.bytes)}`}
      </td>
      <td>{servedUntil === undefined ? "without limit" : until(servedUntil, now)}</td>
      <td class="breaks">{wantedBy.join(", ")}</td>
    </tr>
  );
}
