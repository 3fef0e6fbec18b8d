import type { ComponentChildren, JSX } from "preact";

interface WholeColumn {
  readonly title: ComponentChildren;
  /** `number`: aligned to the right; `main`: gives way to the others; `wide`: not on small screens. */
  readonly kind?: "number" | "main" | "wide" | undefined;
  /** How the rows are in the order of this column, if they are. */
  readonly order?: "ascending" | "descending" | undefined;
}

/** A column that is no more than its title is written as that. */
export type Column = string | WholeColumn;

/** A column of figures. */
export function figures(title: string): Column {
  return { title, kind: "number" };
}

/** The row of headings of a table. */
export function TableHead({ columns }: { readonly columns: readonly Column[] }): JSX.Element {
  return (
    <thead>
      <tr>
        {columns.map((column, index) => {
          const { title, kind, order }: WholeColumn =
            typeof column === "string" ? { title: column } : column;
          return (
            <th key={index} scope="col" class={kind} aria-sort={order}>
              {title}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}
