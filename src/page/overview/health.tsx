import type { JSX } from "preact";
import { Prose } from "../parts/prose.tsx";
import type { Health as HealthFacts } from "../../api/health.ts";
import type { Overview } from "../../api/overview.ts";

const WORDS = { ok: "All is well", degraded: "Degraded", failing: "Failing" } as const;

/** Whether all is well and what to do: the sentence of `entrepot status`, and that of `entrepot ready`. */
export function Health({
  health,
  readiness,
}: {
  readonly health: HealthFacts;
  readonly readiness: Overview["readiness"];
}): JSX.Element {
  // The sentence names the first problem; the others are behind it.
  const others = health.problems.filter((problem) => !health.sentence.includes(problem));
  return (
    <section class={`health ${health.state}`} aria-labelledby="health">
      <h2 id="health" class="unseen">
        Health: {WORDS[health.state]}
      </h2>
      <p class="sentence" role="status">
        <Prose text={health.sentence} />
      </p>
      {health.advice === undefined ? null : (
        <p class="advice">
          <Prose text={health.advice} />
        </p>
      )}
      {readiness === undefined ? null : (
        <p class="advice">
          <Prose text={readiness.sentence} />{" "}
          <a href="/readiness">
            {readiness.ready < readiness.wanted ? "See which, and warm them" : "See readiness"}
          </a>
        </p>
      )}
      {health.warnings.length === 0 ? null : (
        <details>
          <summary>
            {health.warnings.length === 1 ? "A warning" : `${health.warnings.length} warnings`}
          </summary>
          <ul>
            {health.warnings.map((warning) => (
              <li key={warning}>
                <Prose text={warning} />
              </li>
            ))}
          </ul>
        </details>
      )}
      {others.length === 0 ? null : (
        <details>
          <summary>
            {others.length === 1 ? "The problem in full" : `All ${others.length} problems`}
          </summary>
          <ul>
            {others.map((problem) => (
              <li key={problem}>
                <Prose text={problem} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
