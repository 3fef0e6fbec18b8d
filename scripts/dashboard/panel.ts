/** A query of a panel: PromQL, and what names its series in the legend. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly kind: "stat" | "timeseries" | "status-history";
  readonly title: string;
  /** What the number means, for the tooltip. */
  readonly description: string;
  readonly unit: Unit;
  readonly queries: readonly Query[];
  /** Of 24 columns. */
  readonly width: number;
  readonly isStacked?: boolean;
  /** From which value on which colour applies; green before the first. */
  readonly steps?: readonly { readonly value: number | null; readonly color: string }[];
  readonly max?: number;
}

/** Names of Grafana's units. */
export type Unit =
  "bytes" | "Bps" | "reqps" | "percentunit" | "percent" | "s" | "short" | "ops" | "bool_yes_no";

export interface Row {
  readonly title: string;
  readonly isCollapsed?: boolean;
  readonly panels: readonly Panel[];
}

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const COLUMNS = 24;
const REF_IDS = "ABCDEFGH";

interface Position {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Lays rows out below each other. */
export function layOut(rows: readonly Row[]): object[] {
  let [y, id] = [0, 0];
  return rows.flatMap(({ title, isCollapsed = false, panels }) => {
    id += 1;
    const row = { id, type: "row", title, collapsed: isCollapsed };
    const gridPos = { x: 0, y, w: COLUMNS, h: 1 };
    y += 1;
    const placed: object[] = [];
    let [x, height] = [0, 0];
    for (const panel of panels) {
      if (x + panel.width > COLUMNS) {
        y += height;
        [x, height] = [0, 0];
      }
      const h = panel.kind === "stat" ? 4 : 8;
      id += 1;
      placed.push(panelOf(panel, id, { x, y, w: panel.width, h }));
      x += panel.width;
      height = Math.max(height, h);
    }
    y += height;
    // A collapsed row holds its panels, an open one is followed by them.
    if (isCollapsed) return [{ ...row, gridPos, panels: placed }];
    return [{ ...row, gridPos, panels: [] }, ...placed];
  });
}

function panelOf(panel: Panel, id: number, gridPos: Position): object {
  const { kind, title, description, queries } = panel;
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: { ...fieldDefaults(panel), custom: customOf(panel) }, overrides: [] },
    options: OPTIONS[kind],
    targets: queries.map(({ expr, legend }, at) => ({
      refId: REF_IDS.charAt(at),
      datasource: DATASOURCE,
      editorMode: "code",
      expr,
      legendFormat: legend,
      // A number at the top is of the whole range: one evaluation at its end.
      instant: kind === "stat",
      range: kind !== "stat",
    })),
  };
}

function fieldDefaults({ unit, steps, max, kind }: Panel): object {
  const base = { color: kind === "stat" ? "green" : "transparent", value: null };
  return {
    unit,
    min: 0,
    ...(max === undefined ? {} : { max }),
    color: { mode: steps ? "thresholds" : "palette-classic" },
    thresholds: { mode: "absolute", steps: steps ?? [base] },
    noValue: "none",
  };
}

function customOf({ kind, isStacked = false }: Panel): object {
  if (kind === "stat") return {};
  if (kind === "status-history") return { fillOpacity: 80, lineWidth: 0 };
  return {
    drawStyle: "line",
    lineInterpolation: "linear",
    lineWidth: 1,
    fillOpacity: isStacked ? 40 : 8,
    showPoints: "never",
    spanNulls: false,
    stacking: { mode: isStacked ? "normal" : "none", group: "A" },
  };
}

const OPTIONS: Readonly<Record<Panel["kind"], object>> = {
  stat: {
    reduceOptions: { values: false, calcs: ["lastNotNull"], fields: "" },
    colorMode: "value",
    graphMode: "none",
    justifyMode: "auto",
    orientation: "auto",
    textMode: "auto",
  },
  timeseries: {
    legend: { displayMode: "list", placement: "bottom", showLegend: true, calcs: [] },
    tooltip: { mode: "multi", sort: "desc" },
  },
  "status-history": {
    showValue: "never",
    rowHeight: 0.8,
    legend: { displayMode: "list", placement: "bottom", showLegend: false },
    tooltip: { mode: "single", sort: "none" },
  },
};
