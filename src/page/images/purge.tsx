import type { JSX } from "preact";
import { Action } from "../parts/action.tsx";
import { bytes, counted, integer } from "../parts/format.ts";
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
  const noun = counted(count, "image");
  return (
    <Panel id="purge" title={`Purge ${pattern}`}>
      {count === 0 ? (
        <Empty>No image matches.</Empty>
      ) : (
        <>
          <p>
            {noun} will be removed from this cache, with {counted(blobs, "blob")} that no other
            image uses: <strong>{bytes(size)}</strong>.
            {shared === 0 ? "" : ` ${counted(shared, "blob")} will stay for other images.`}
            {busy === 0 ? "" : ` ${counted(busy, "blob")} will stay until evicted, being read now.`}
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
            <a href="/images">Cancel</a>
          </p>
        </>
      )}
    </Panel>
  );
}
