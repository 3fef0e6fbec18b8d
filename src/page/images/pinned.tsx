import type { JSX } from "preact";
import { Action } from "../parts/action.tsx";
import { ago, counted } from "../parts/format.ts";
import { Moment } from "../parts/moment.tsx";
import { Panel } from "../parts/panel.tsx";
import type { View } from "../view.ts";

/** A purge that meets a pin: what the pin is, and how to take it away. */
export function Pinned({
  view: { pattern, detail, pin },
  mayChange,
  now,
}: {
  readonly view: Extract<View, { page: "pinned" }>;
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  const keeps = counted(pin.images, "image");
  return (
    <Panel id="purge" title={`Purge ${pattern}`}>
      <p class="warn">Nothing can be purged: {detail}. What is pinned is never removed.</p>
      <dl class="facts">
        <div>
          <dt>Pin</dt>
          <dd>{pin.pattern}</dd>
        </div>
        <div>
          <dt>Keeps</dt>
          <dd>
            {keeps}
            {pin.platforms.length === 0 ? "" : `, of these only ${pin.platforms.join(", ")}`}
          </dd>
        </div>
        <div>
          <dt>Pinned</dt>
          <dd>
            {ago(pin.since, now)}, <Moment at={pin.since} />
          </dd>
        </div>
        <div>
          <dt>By</dt>
          <dd>
            {pin.lists === undefined
              ? "an operator, with entrepot pin, this page or the API"
              : `${pin.lists.length === 1 ? "the list" : "the lists"} ${pin.lists.join(", ")} under warm in the configuration file, with pin: true: it is pinned again when that is warmed next`}
          </dd>
        </div>
      </dl>
      <p class="orders">
        {mayChange ? (
          <Action
            method="DELETE"
            path={`/pins/${encodeURIComponent(pin.pattern)}`}
            question={`Without it, ${keeps} can be evicted when the disk is full, and purged. Unpin?`}
          >
            Unpin {pin.pattern}
          </Action>
        ) : (
          "Your token may only read."
        )}
        <a href="/images">Cancel</a>
      </p>
      <p class="note">Then this page shows what the purge would remove, before anything goes.</p>
    </Panel>
  );
}
