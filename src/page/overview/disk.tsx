import type { JSX } from "preact";
import type { DiskRow } from "../../api/overview.ts";
import { Meter } from "../parts/charts.tsx";
import { bytes, counted, percent } from "../parts/format.ts";
import { Panel } from "../parts/panel.tsx";

export function Disk({ disk }: { readonly disk: DiskRow }): JSX.Element {
  const { used, held, pinned, partial, metadata, max, free, evictedToday } = disk;
  const share = (part: number): number => (max === 0 ? 0 : part / max);
  return (
    <Panel id="disk" title="Disk" aside={`${percent(share(used))} of ${bytes(max)}`}>
      <Meter
        label={`${bytes(used)} of ${bytes(max)} are used`}
        parts={[
          { name: "pinned", share: share(Math.min(pinned, held)) },
          { name: "held", share: share(Math.max(0, held - pinned)) },
          { name: "partial", share: share(partial) },
          { name: "metadata", share: share(metadata) },
        ]}
      />
      <dl class="facts">
        <Fact name="held" label="Stored blobs" value={bytes(held)} />
        <Fact name="pinned" label="of which pinned" value={bytes(pinned)} />
        <Fact name="partial" label="Partial downloads" value={bytes(partial)} />
        <Fact name="metadata" label="Metadata" value={bytes(metadata)} />
        <Fact
          label="Free on the file system"
          value={free === undefined ? "unknown" : bytes(free)}
        />
        <Fact label="Evicted in 24 hours" value={bytes(evictedToday)} />
      </dl>
      <p class="forecast">{forecastOf(disk)}</p>
    </Panel>
  );
}

function Fact({
  name,
  label,
  value,
}: {
  readonly name?: string;
  readonly label: string;
  readonly value: string;
}): JSX.Element {
  return (
    <div>
      <dt class={name === undefined ? undefined : `key ${name}`}>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function forecastOf({ isFull, fullInDays }: DiskRow): string {
  if (isFull)
    return "Full: nothing more is stored, and what is missing is streamed from the registries.";
  if (fullInDays === undefined)
    return "Not growing, or not known for long enough to say when it is full.";
  if (fullInDays < 1) return "Full today: then the least recently used images are evicted.";
  return `Full in ${counted(fullInDays, "day")}: then the least recently used images are evicted.`;
}
