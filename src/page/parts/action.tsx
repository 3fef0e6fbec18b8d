import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

export interface ActionProps {
  readonly method: "POST" | "DELETE";
  /** Below `/api/v1`. */
  readonly path: string;
  readonly body?: object;
  /** Where to go once it is done; by default, the same page is loaded again. */
  readonly then?: string;
  readonly tone?: "plain" | "destructive";
  readonly children: ComponentChildren;
}

/** A button that has the cache do something. It needs scripts: the API takes no forms of strangers. */
export function Action({ children, tone = "plain", ...order }: ActionProps): JSX.Element {
  const [isReady, setReady] = useState(false);
  const [problem, setProblem] = useState<string>();
  // Without scripts, it says by being disabled that it can do nothing.
  useEffect(() => setReady(true), []);
  const act = async (): Promise<void> => {
    setReady(false);
    const failure = await carryOut(order);
    setProblem(failure);
    setReady(failure !== undefined);
  };
  return (
    <span class="action">
      <button type="button" class={tone} disabled={!isReady} onClick={() => void act()}>
        {children}
      </button>
      {problem === undefined ? null : (
        <span class="bad" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}

/** @returns what went wrong */
async function carryOut({
  method,
  path,
  body = {},
  then,
}: Pick<ActionProps, "method" | "path" | "body" | "then">): Promise<string | undefined> {
  try {
    const response = await fetch(`/api/v1${path}`, {
      method,
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) return problemText(await response.json());
    if (then === undefined) location.reload();
    else location.assign(then);
    return undefined;
  } catch {
    return "the cache does not answer: try again";
  }
}

function problemText(problem: unknown): string {
  // Problem details, as the API describes them.
  const { detail = "it was refused", next } = problem as { detail?: string; next?: string };
  return next === undefined ? detail : `${detail}: ${next}`;
}
