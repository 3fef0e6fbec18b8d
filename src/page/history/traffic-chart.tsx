import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import type { HistoryAnswer } from "../../api/history.ts";
import { bytes } from "../parts/format.ts";

const HEIGHT = 260;

/** Steps between the lines of sizes: of units of 1024, not of 1000. */
const SIZES = Array.from({ length: 50 }, (_, power) => 2 ** power);

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
    // The last moment is written below the end of the line, half of it beside.
    padding: [null, 48, null, null],
    axes: [
      { ...axis, space: 110, values: (_, moments) => moments.map(timeText) },
      { ...axis, size: 76, incrs: SIZES, values: (_, values) => values.map(bytes) },
    ],
    series: [
      { value: (_, moment: number | null) => (moment === null ? "–" : timeText(moment)) },
      {
        label: "sent to nodes",
        stroke: style.outlineColor,
        fill: style.backgroundColor,
        points: { show: false },
        value: size,
      },
      {
        label: "downloaded",
        stroke: style.textDecorationColor,
        points: { show: false },
        value: size,
      },
    ],
  };
}

/** As the reader's language writes a day and a time, with 24 hours. */
const TIME = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

function timeText(seconds: number): string {
  return TIME.format(seconds * 1000);
}

function dataOf({ from, step, upstreams }: HistoryAnswer): uPlot.AlignedData {
  const [first] = upstreams;
  const times = (first?.requests ?? []).map((_, index) => (from + index * step) / 1000);
  const sums = (name: "sentBytes" | "fetchedBytes"): number[] =>
    times.map((_, index) => upstreams.reduce((sum, one) => sum + (one[name][index] ?? 0), 0));
  return [times, sums("sentBytes"), sums("fetchedBytes")];
}
