export type Row = readonly string[];

/** A table in GitHub Flavored Markdown. */
export function table(heads: Row, rows: readonly Row[]): string {
  const line = (cells: Row): string => `| ${cells.map(escape).join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

function escape(cell: string): string {
  return cell.replaceAll("|", "\\|").replaceAll("\n", " ");
}
