import type { JSX } from "preact";
import type { Configuration } from "../../api/configuration.ts";
import { Action } from "../parts/action.tsx";
import { Panel, Scrolling } from "../parts/panel.tsx";
import { Prose } from "../parts/prose.tsx";
import { TableHead } from "../parts/table-head.tsx";

type Key = Configuration["keys"][number];

/** The settings that are in effect, and where each comes from. They are changed in the file. */
export function Settings({
  configuration,
  mayChange,
}: {
  readonly configuration: Configuration;
  readonly mayChange: boolean;
}): JSX.Element {
  const { file, keys, upstreamDefaults, needsRestart, problems } = configuration;
  return (
    <div class="stack">
      <Panel id="settings" title="Settings" aside={file ?? "no configuration file"}>
        <p>Read-only: change the file, and the cache takes it up within seconds.</p>
        <Notes title="Not in effect, because of errors" tone="bad" items={problems} />
        <Notes title="In effect after a restart" tone="warn" items={needsRestart} />
        {mayChange ? (
          <p class="orders">
            <Action method="POST" path="/reload">
              Reload the file
            </Action>
          </p>
        ) : null}
        <Keys caption="Settings in effect" keys={keys} />
      </Panel>
      <Panel id="upstream-defaults" title="Defaults for each registry">
        <Keys caption="Defaults of registries" keys={upstreamDefaults} />
      </Panel>
    </div>
  );
}

function Notes({
  title,
  tone,
  items,
}: {
  readonly title: string;
  readonly tone: "bad" | "warn";
  readonly items: readonly string[];
}): JSX.Element | null {
  if (items.length === 0) return null;
  return (
    <section class={tone}>
      <h3>{title}</h3>
      <ul>
        {items.map((item) => (
          <li key={item}>
            <Prose text={item} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Keys({
  caption,
  keys,
}: {
  readonly caption: string;
  readonly keys: readonly Key[];
}): JSX.Element {
  return (
    <Scrolling label={caption} isWide>
      <table>
        <TableHead columns={["Key", "Value", "From"]} />
        <tbody>
          {keys.map(({ key, value, source, at }) => (
            <tr key={key}>
              <th scope="row" class="breaks">
                {key}
              </th>
              <td class="breaks">{value === undefined ? "(not shown)" : textOf(value)}</td>
              <td class="breaks">{at ?? source}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}

function textOf(value: NonNullable<Key["value"]> | null): string {
  return Array.isArray(value) ? value.join(", ") : String(value);
}
