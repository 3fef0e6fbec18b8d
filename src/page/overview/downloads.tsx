import type { JSX } from "preact";
import type { RunningDownload } from "../../api/overview.ts";
import { Meter } from "../parts/charts.tsx";
import { bytes, counted, duration, integer, shortDigest } from "../parts/format.ts";
import { Empty, Panel, Scrolling } from "../parts/panel.tsx";

export function Downloads({
  downloads,
}: {
  readonly downloads: readonly RunningDownload[];
}): JSX.Element {
  const speed = downloads.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  const aside =
    downloads.length === 0 ? undefined : `${integer(downloads.length)} at ${bytes(speed)}/s`;
  return (
    <Panel id="downloads" title="Downloads" aside={aside}>
      {downloads.length === 0 ? (
        <Empty>
          No downloads now: nobody is pulling what is not stored yet. <code>entrepot warm</code>{" "}
          downloads images in advance.
        </Empty>
      ) : (
        <Scrolling label="Downloads">
          <ul class="downloads">
            {downloads.map((download) => (
              <Download key={`${download.upstream} ${download.digest}`} download={download} />
            ))}
          </ul>
        </Scrolling>
      )}
    </Panel>
  );
}

function Download({ download }: { readonly download: RunningDownload }): JSX.Element {
  const { image, digest, received, size, followers, bytesPerSecond, secondsLeft } = download;
  const total = size === undefined ? bytes(received) : `${bytes(received)} of ${bytes(size)}`;
  const left = secondsLeft === undefined ? "" : `, ${duration(secondsLeft * 1000)} left`;
  return (
    <li>
      <p class="name" title={digest}>
        {image} <span class="note">{shortDigest(digest)}</span>
      </p>
      <Meter
        label={`${total} downloaded`}
        parts={[{ name: "held", share: size ? received / size : 0 }]}
      />
      <p class="note">
        {total} at {bytes(bytesPerSecond)}/s for {counted(followers, "client")}
        {left}
      </p>
    </li>
  );
}
