import type { ComponentChildren, JSX } from "preact";

interface PanelProps {
  /** Names its heading, for links and screen readers. */
  readonly id: string;
  readonly title: string;
  /** A few words behind the title: a count, a unit, a period. */
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** A part of a page, with a heading of its own. */
export function Panel({ id, title, aside, children }: PanelProps): JSX.Element {
  return (
    <section class={`panel panel-${id}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside === undefined ? null : <p class="aside">{aside}</p>}
      </header>
      {children}
    </section>
  );
}

/** What scrolls is reachable by keyboard. */
export function Scrolling({
  label,
  isWide = false,
  children,
}: {
  readonly label: string;
  /** As high as what it holds: it scrolls to the side alone. */
  readonly isWide?: boolean;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    // An element that scrolls has to take the focus, or nobody can scroll it without a mouse.
    <div class={isWide ? "wide-table" : "scrolling"} role="group" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

/** Where a list has nothing: what would be there, and when. */
export function Empty({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** A state that is told by its word; the colour only repeats it. */
export function State({
  tone,
  children,
}: {
  readonly tone: Tone;
  readonly children: ComponentChildren;
}): JSX.Element {
  return <span class={`state ${tone}`}>{children}</span>;
}

export type Tone = "good" | "warn" | "bad" | "calm";
