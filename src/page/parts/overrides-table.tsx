import type { JSX } from "preact";
import type { OverrideItem } from "../../api/overrides.ts";
import { Action } from "./action.tsx";
import { ago, shortDigest, until as untilText } from "./format.ts";
import { Scrolling } from "./panel.tsx";
import { TableHead } from "./table-head.tsx";

/** What was done on a page has no other reason. */
export const REASON = "on the page";

/** What operators decided of tags, with what ends it. */
export function OverridesTable({
  overrides,
  mayChange,
  now,
}: {
  readonly overrides: readonly OverrideItem[];
  readonly mayChange: boolean;
  readonly now: number;
}): JSX.Element {
  return (
    <Scrolling label="Overrides" isWide>
      <table>
        <TableHead columns={[{ title: "What", kind: "main" }, "Until", "By", "Order"]} />
        <tbody>
          {overrides.map((override) => (
            <tr key={override.id} data-override={override.kind}>
              <th scope="row" class="main breaks">
                {override.kind} {shortened(override.pattern)}
                {aimOf(override)}
                <span class="note line">{override.reason}</span>
              </th>
              <td>{endOf(override, now)}</td>
              <td class="breaks">
                {override.by} <span class="note">{ago(override.since, now)}</span>
              </td>
              <td>
                {mayChange && override.isActive ? (
                  <Action
                    method="POST"
                    path={`/overrides/${encodeURIComponent(override.id)}/end`}
                    body={{ reason: REASON }}
                    question={`The ${override.kind} of ${shortened(override.pattern)} ends. End it?`}
                  >
                    End
                  </Action>
                ) : null}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}

/** A name with the first digits of its digest. */
export function shortened(name: string): string {
  return name.replace(/@sha\d+:[a-f0-9]+$/, (digest) => `@${shortDigest(digest)}`);
}

function aimOf({ kind, digest, asOf }: OverrideItem): string {
  if (kind === "freeze" && asOf !== undefined) {
    return ` as of ${new Date(asOf).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  }
  if (kind === "release" || digest === undefined) return "";
  return ` at ${shortDigest(digest)}`;
}

function endOf({ until, ended }: OverrideItem, now: number): string {
  if (ended) return `ended ${ago(ended.at, now)} by ${ended.by}`;
  if (until === undefined) return "no end";
  return until <= now ? "over" : untilText(until, now);
}
