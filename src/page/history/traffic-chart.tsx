import { createContext, type JSX } from "preact";
import { useContext, useEffect, useRef } from "preact/hooks";
import type { HistoryAnswer } from "../../api/history.ts";

/** Draws a history into an element, and returns what removes it. */
export type DrawTraffic = (element: HTMLElement, history: HistoryAnswer) => () => void;

/** Browsers have one; the server, which draws nothing, does without the library. */
export const TrafficDrawing = createContext<DrawTraffic | undefined>(undefined);

/** Bytes sent and downloaded over time. The tables below it tell the same in figures. */
export function TrafficChart({ history }: { readonly history: HistoryAnswer }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const draw = useContext(TrafficDrawing);
  useEffect(() => {
    const element = place.current;
    return element ? draw?.(element, history) : undefined;
  }, [history, draw]);
  return (
    <div
      ref={place}
      class="chart"
      role="img"
      aria-label="Bytes sent to nodes and bytes downloaded, over time. The table below has the figures."
    />
  );
}
