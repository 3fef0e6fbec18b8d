import type { JSX } from "preact";
import type { RegistryRow } from "../../api/overview.ts";
import { Heartbeats } from "../parts/charts.tsx";
import { duration, integer, percent, plain, until } from "../parts/format.ts";
import { Panel, Scrolling, State, type Tone } from "../parts/panel.tsx";
import { figures, TableHead } from "../parts/table-head.tsx";

interface ShownState {
  readonly tone: Tone;
  readonly word: string;
}

const STATES: Readonly<Record<RegistryRow["state"], ShownState>> = {
  ok: { tone: "good", word: "answers" },
  "rate-limited": { tone: "warn", word: "rate-limited" },
  unavailable: { tone: "bad", word: "no answer" },
};

export function Registries({
  registries,
  now,
}: {
  readonly registries: readonly RegistryRow[];
  readonly now: number;
}): JSX.Element {
  return (
    <Panel id="registries" title="Registries" aside="24 hours">
      <Scrolling label="Registries">
        <table>
          <TableHead
            columns={[
              "Registry",
              "State",
              { title: "Heartbeat", kind: "wide" },
              figures("Latency"),
              figures("Responses"),
              figures("Rate limit left"),
              figures("Hit ratio: bytes"),
              figures("requests"),
              "Access",
            ]}
          />
          <tbody>
            {registries.map((registry) => (
              <Row key={registry.name} registry={registry} now={now} />
            ))}
          </tbody>
        </table>
      </Scrolling>
    </Panel>
  );
}

function Row({
  registry,
  now,
}: {
  readonly registry: RegistryRow;
  readonly now: number;
}): JSX.Element {
  const { name, circuit, beats, latencyMs, answers, mirror } = registry;
  const { tone, word } = stateOf(registry);
  return (
    <tr data-registry={name}>
      <th scope="row" class="name">
        {name}{" "}
        {mirror === undefined ? null : (
          <span class="note" title={mirror}>
            by {hostOf(mirror)}
          </span>
        )}
      </th>
      <td title={registry.reason === undefined ? undefined : plain(registry.reason)}>
        <State tone={tone}>{word}</State>{" "}
        {circuit === "closed" ? null : <span class="note">circuit {circuit}</span>}
      </td>
      <td class="wide">
        <Heartbeats beats={beats} />
      </td>
      <td class="number">{latencyMs === undefined ? "–" : duration(latencyMs)}</td>
      <td class="number">
        {integer(answers.ok)} ok{" "}
        {answers.failed === 0 ? null : (
          <span class="note bad">{integer(answers.failed)} failed </span>
        )}
        {answers.limited === 0 ? null : (
          <span class="note warn">{integer(answers.limited)} limited</span>
        )}
      </td>
      <td class="number">
        <Budget registry={registry} now={now} />
      </td>
      <td class="number">{percent(registry.hitRatioByBytes)}</td>
      <td class="number">{percent(registry.hitRatioByRequests)}</td>
      <td>{registry.access}</td>
    </tr>
  );
}

function stateOf({ state, reason, answers }: RegistryRow): ShownState {
  if (state !== "ok") return STATES[state];
  // It is asked on, but one failure does not read as well.
  if (reason !== undefined) return { tone: "warn", word: "last request failed" };
  const isAsked = answers.ok + answers.failed + answers.limited > 0;
  return isAsked ? STATES.ok : { tone: "calm", word: "not asked" };
}

function Budget({
  registry: { budget, limitedUntil },
  now,
}: {
  readonly registry: RegistryRow;
  readonly now: number;
}): JSX.Element {
  if (limitedUntil !== undefined) return <span class="warn">none, {until(limitedUntil, now)}</span>;
  if (budget === undefined) return <>–</>;
  return (
    <>
      {integer(budget.left)}
      {budget.limit === undefined ? " " : ` of ${integer(budget.limit)} `}
      <span class="note">full {until(budget.resetAt, now)}</span>
    </>
  );
}

function hostOf(url: string): string {
  return URL.parse(url)?.host ?? url;
}
