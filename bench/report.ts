import type { GoalResult, Row } from "./results.ts";

/** A figure with three significant digits: a measurement is no more precise than that. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

/** A Markdown table with a line per figure and a column per system. */
export function table(rows: readonly Row[]): string {
  const systems = [...new Set(rows.map(({ system }) => system))];
  const figures = [...Map.groupBy(rows, ({ workload, figure }) => `${workload}\0${figure}`)];
  const lines = figures.map(([key, group]) => {
    const [workload = "", figure = ""] = key.split("\0");
    const cells = systems.map((system) => cell(group.find((row) => row.system === system)));
    return [workload, figure].concat(cells);
  });
  return markdown([["Workload", "Figure", ...systems], ...lines]);
}

function cell(row: Row | undefined): string {
  if (!row) return "";
  const { median, min, max } = row;
  const range = row.rounds > 1 ? ` (${formatFigure(min)}–${formatFigure(max)})` : "";
  return `${formatFigure(median)}${range}`;
}

/** A Markdown table of the goals, and whether each is met. */
export function goalTable(results: readonly GoalResult[]): string {
  const lines = results.map((result) => [
    result.system === undefined ? result.workload : `${result.workload}, ${result.system}`,
    result.against === undefined ? result.figure : `${result.figure}, over ${result.against}`,
    formatFigure(result.value),
    result.atLeast === undefined ? `≤ ${result.atMost}` : `≥ ${result.atLeast}`,
    result.isMet ? "yes" : "no",
  ]);
  return markdown([["Workload", "Figure", "Entrepot", "Goal", "Met"], ...lines]);
}

export function markdown([head = [], ...lines]: readonly string[][]): string {
  const widths = head.map((_, at) =>
    Math.max(3, ...[head, ...lines].map((line) => (line[at] ?? "").length)),
  );
  const row = (cells: readonly string[]): string =>
    `| ${widths.map((width, at) => (cells[at] ?? "").padEnd(width)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [row(head), rule, ...lines.map(row)].join("\n");
}

const PLOTTED: readonly (readonly [workload: string, figure: string])[] = [
  ["256 MiB hit, 4 at once", "GB/s"],
  ["256 MiB hit, 4 at once", "CPU s per GB"],
  ["10 KiB hit", "requests/s"],
  ["manifest by fresh tag", "requests/s"],
  ["cold herd, 20 at once", "last byte s"],
  ["40 layers, cold", "seconds"],
];
const [WIDTH, BAR, GAP, LABEL] = [760, 18, 14, 150];

/** An SVG bar chart of the most important figures, each group on its own scale. */
export function plot(rows: readonly Row[]): string {
  const parts: string[] = [];
  let y = GAP;
  for (const [workload, figure] of PLOTTED) {
    const group = rows.filter((row) => row.workload === workload && row.figure === figure);
    if (group.length === 0) continue;
    parts.push(`<text x="8" y="${y + 12}" font-weight="bold">${workload}: ${figure}</text>`);
    y += BAR + 4;
    const max = Math.max(...group.map((row) => row.median));
    for (const { system, median } of group) {
      const width = Math.max(1, (median / max) * (WIDTH - LABEL - 90));
      const colour = system === "entrepot" ? "#1f6f8b" : "#b9c4c9";
      parts.push(
        `<text x="${LABEL - 6}" y="${y + 13}" text-anchor="end">${system}</text>`,
        `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${colour}"/>`,
        `<text x="${(LABEL + width + 6).toFixed(1)}" y="${y + 13}">${formatFigure(median)}</text>`,
      );
      y += BAR;
    }
    y += GAP;
  }
  const style = 'font-family="sans-serif" font-size="12"';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" ${style}>\n<rect width="100%" height="100%" fill="white"/>\n${parts.join("\n")}\n</svg>\n`;
}
