import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { HistoryAnswer } from "../../api/history.ts";
import { bytes } from "../parts/format.ts";

const HEIGHT = 260;

/** Bytes sent and downloaded over time. Without scripts, the table below it tells the sums. */
export function TrafficChart({ history }: { readonly history: HistoryAnswer }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const chart = new uPlot(optionsOf(element), dataOf(history), element);
    const resized = new ResizeObserver(() => {
      chart.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.destroy();
    };
  }, [history]);
  return (
    <div
      ref={place}
      class="chart"
      role="img"
      aria-label="bytes sent to nodes and bytes downloaded, over time"
    />
  );
}

function optionsOf(element: HTMLElement): uPlot.Options {
  const style = getComputedStyle(element);
  const [soft, edge] = [style.color, style.borderColor];
  const axis = { stroke: soft, grid: { stroke: edge, width: 1 }, ticks: { stroke: edge } };
  const size = (_: uPlot, value: number | null): string => (value === null ? "–" : bytes(value));
  return {
    width: element.clientWidth,
    height: HEIGHT,
    axes: [axis, { ...axis, size: 76, values: (_, values) => values.map(bytes) }],
    series: [
      {},
      {
        label: "sent to nodes",
        stroke: style.outlineColor,
        fill: style.backgroundColor,
        value: size,
      },
      { label: "downloaded", stroke: style.textDecorationColor, value: size },
    ],
  };
}

function dataOf({ from, step, upstreams }: HistoryAnswer): uPlot.AlignedData {
  const [first] = upstreams;
  const times = (first?.requests ?? []).map((_, index) => (from + index * step) / 1000);
  const sums = (name: "sentBytes" | "fetchedBytes"): number[] =>
    times.map((_, index) => upstreams.reduce((sum, one) => sum + (one[name][index] ?? 0), 0));
  return [times, sums("sentBytes"), sums("fetchedBytes")];
}
