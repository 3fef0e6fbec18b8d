import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Prose } from "./prose.tsx";

export interface ActionProps {
  readonly method: "POST" | "DELETE";
  /** Below `/api/v1`. */
  readonly path: string;
  readonly body?: object;
  /** Where to go once it is done; by default, the same page is loaded again. */
  readonly then?: string;
  readonly tone?: "plain" | "destructive";
  /** What is asked before it is done: what will change. */
  readonly question?: string;
  readonly children: ComponentChildren;
}

/** A button that has the cache do something. It needs scripts: the API takes no forms of strangers. */
export function Action({ children, tone = "plain", question, ...order }: ActionProps): JSX.Element {
  const [isReady, setReady] = useState(false);
  const [isAsking, setAsking] = useState(false);
  const [problem, setProblem] = useState<string>();
  // Without scripts, it says by being disabled that it can do nothing.
  useEffect(() => setReady(true), []);
  const act = async (): Promise<void> => {
    if (question !== undefined && !isAsking) {
      setAsking(true);
      return;
    }
    setAsking(false);
    setReady(false);
    const failure = await carryOut(order);
    setProblem(failure);
    setReady(failure !== undefined);
  };
  return (
    <span class="action">
      {isAsking ? <span role="alert">{question}</span> : null}
      <button
        type="button"
        class={isAsking ? "destructive" : tone}
        disabled={!isReady}
        onClick={() => void act()}
      >
        {isAsking ? <>Yes: {children}</> : children}
      </button>
      {isAsking ? (
        <button type="button" onClick={() => setAsking(false)}>
          No
        </button>
      ) : null}
      <span class="needs-scripts note">needs scripts; the commands of entrepot do the same</span>
      {problem === undefined ? null : (
        <span class="bad" role="alert">
          <Prose text={problem} />
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
