import type { JSX } from "preact";
import { Content } from "./content.tsx";
import { MENU, type PageData, titleOf } from "../view.ts";

/** Whether events arrive: `waiting` until the first one, and without scripts. */
export type Liveness = "waiting" | "live" | "away";

const LIVENESS: Readonly<Record<Liveness, string>> = {
  waiting: "",
  live: "live",
  away: "the cache does not answer: what you see is old",
};

/** A whole page below its `body`. */
export function App({
  data,
  liveness = "waiting",
}: {
  readonly data: PageData;
  readonly liveness?: Liveness;
}): JSX.Element {
  const { frame, view } = data;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="masthead">
        <p class="brand">
          Entrepot <span>{frame.version}</span>
        </p>
        <nav aria-label="Pages">
          <ul>
            {MENU.map(({ path, page, title }) => (
              <li key={path}>
                <a href={path} aria-current={view.page === page ? "page" : undefined}>
                  {title}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <p class={`liveness ${liveness}`} role="status">
          {LIVENESS[liveness]}
        </p>
        {frame.hasSession ? (
          <form method="post" action="/logout">
            <button type="submit" class="quiet">
              Log out
            </button>
          </form>
        ) : null}
      </header>
      <main id="main">
        <h1 class="unseen">{titleOf(view)}</h1>
        <Content data={data} />
      </main>
    </>
  );
}
