import type { JSX } from "preact";
import { Action } from "../parts/action.tsx";
import { bytes, integer } from "../parts/format.ts";
import { Empty, Panel } from "../parts/panel.tsx";
import type { View } from "../view.ts";

/** What a purge would remove, and the button that does it. */
export function Purge({
  view: { pattern, preview },
  mayChange,
}: {
  readonly view: Extract<View, { page: "purge" }>;
  readonly mayChange: boolean;
}): JSX.Element {
  const { images, count, blobs, bytes: size, shared, busy } = preview;
  const noun = count === 1 ? "1 image" : `${integer(count)} images`;
  return (
    <Panel id="purge" title={`Purge ${pattern}`}>
      {count === 0 ? (
        <Empty>No image matches.</Empty>
      ) : (
        <>
          <p>
            {noun} will be forgotten, and {integer(blobs)} blobs that only they use will be removed:{" "}
            <strong>{bytes(size)}</strong>.
            {shared === 0 ? "" : ` ${integer(shared)} blobs stay, because other images use them.`}
            {busy === 0
              ? ""
              : ` ${integer(busy)} blobs are being read, and stay until they are evicted.`}
          </p>
          <p>Nodes can pull them again from their registries.</p>
          <ul class="names">
            {images.map((image) => (
              <li key={image}>{image}</li>
            ))}
          </ul>
          {images.length < count ? <p>and {integer(count - images.length)} more</p> : null}
          <p class="orders">
            {mayChange ? (
              <Action
                method="POST"
                path="/purge"
                body={{ pattern }}
                then="/jobs"
                tone="destructive"
              >
                Purge {noun}
              </Action>
            ) : (
              "Your token may only read."
            )}
            <a href="/images">Keep them</a>
          </p>
        </>
      )}
    </Panel>
  );
}
