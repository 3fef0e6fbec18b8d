import uPlot from "uplot";
import type { HistoryAnswer } from "../../api/history.ts";
import { stepsOf } from "../history/steps.ts";
import { bytes, localMoment } from "../parts/format.ts";

const HEIGHT = 260;

/** Steps between the lines of sizes: of units of 1024, not of 1000. */
const SIZES = Array.from({ length: 50 }, (_, power) => 2 ** power);

/**
 * Draws bytes sent and downloaded over time into an element. Only browsers load what draws.
 *
 * @returns removes the chart
 */
export function drawTraffic(element: HTMLElement, history: HistoryAnswer): () => void {
  const chart = new uPlot(optionsOf(element), dataOf(history), element);
  const resized = new ResizeObserver(() => {
    chart.setSize({ width: element.clientWidth, height: HEIGHT });
  });
  resized.observe(element);
  return () => {
    resized.disconnect();
    chart.destroy();
  };
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

function timeText(seconds: number): string {
  return localMoment(seconds * 1000);
}

function dataOf(history: HistoryAnswer): uPlot.AlignedData {
  const steps = stepsOf(history);
  return [
    steps.map(({ at }) => at / 1000),
    steps.map(({ sentBytes }) => sentBytes),
    steps.map(({ fetchedBytes }) => fetchedBytes),
  ];
}
