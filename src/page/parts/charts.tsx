import type { JSX } from "preact";
import type { Beat } from "../../api/overview.ts";

const WIDTH = 240;
const HEIGHT = 36;

/** A line over its area. Its meaning is told beside it in numbers, so it is hidden from screen readers. */
export function Sparkline({ values }: { readonly values: readonly number[] }): JSX.Element {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 1 - (value / most) * (HEIGHT - 3);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  const line = points.length > 1 ? points.join(" ") : `0,${HEIGHT - 1} ${WIDTH},${HEIGHT - 1}`;
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden
    >
      <polygon class="area" points={`0,${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />
      <polyline class="line" points={line} vector-effect="non-scaling-stroke" />
    </svg>
  );
}

const BAR = 4;

/** A bar for each half hour, as monitors of uptime have them. */
export function Heartbeats({ beats }: { readonly beats: readonly Beat[] }): JSX.Element {
  const failed = beats.filter((beat) => beat === "failed").length;
  const limited = beats.filter((beat) => beat === "limited").length;
  const label =
    failed + limited === 0
      ? "no failures in the last 24 hours"
      : `half hours of the last 24 hours with failures: ${failed}, with limits: ${limited}`;
  return (
    <svg
      class="beats"
      viewBox={`0 0 ${beats.length * BAR} 16`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {beats.map((beat, index) => (
        <rect
          key={index}
          class={beat}
          x={index * BAR}
          y={beat === "idle" ? 6 : 1}
          width={BAR - 1}
          height={beat === "idle" ? 4 : 14}
          rx={1}
        />
      ))}
    </svg>
  );
}

/** Parts of a whole, each with its share, in the order in which they are drawn. */
export function Meter({
  label,
  parts,
}: {
  readonly label: string;
  readonly parts: readonly { readonly name: string; readonly share: number }[];
}): JSX.Element {
  let x = 0;
  return (
    <svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect class="rest" x={0} y={0} width={100} height={8} />
      {parts.map(({ name, share }) => {
        const width = Math.max(0, Math.min(100 - x, share * 100));
        const rect = <rect key={name} class={name} x={x} y={0} width={width} height={8} />;
        x += width;
        return rect;
      })}
    </svg>
  );
}
