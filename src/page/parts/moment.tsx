import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { localMoment, utcMoment } from "./format.ts";

/** A moment: in UTC as the server writes it, and in the time of the reader once scripts run. */
export function Moment({ at }: { readonly at: number }): JSX.Element {
  const [text, setText] = useState(utcMoment(at));
  useEffect(() => setText(localMoment(at)), [at]);
  return <time dateTime={new Date(at).toISOString()}>{text}</time>;
}
