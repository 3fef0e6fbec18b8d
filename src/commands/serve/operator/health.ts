import type { Health } from "../../../api/health.ts";
import type { Status } from "../../../api/status.ts";
import type { LocalProblemKind } from "../../../telemetry/local-problems.ts";

/** What health is made of. */
export type HealthParts = Pick<Status, "storage" | "upstreams" | "problems" | "machine"> & {
  /** Why the metadata database does not answer. */
  readonly metadataProblem?: string | undefined;
  /** Why the configuration on the disk is not in use. */
  readonly rejected?: string | undefined;
  /** What fails nothing, and should be known. */
  readonly warnings: readonly string[];
};

type Verdict = Omit<Health, "problems" | "warnings">;

const DOCTOR = "`entrepot doctor` says what is wrong, and tries each registry";

/** Whether all is well, in one sentence: the worst of what is the case, and what it means for pulls. */
export function healthOf(parts: HealthParts): Health {
  const { problems, warnings } = parts;
  const verdict =
    ofDrill(parts) ??
    ofMetadata(parts) ??
    ofRegistries(parts) ??
    ofDisk(parts) ??
    ofMachine(parts) ??
    ofConfiguration(parts) ??
    ofRest(parts);
  return { ...(verdict ?? wellness(parts)), problems: [...problems], warnings: [...warnings] };
}

/** It explains all that fails meanwhile. */
function ofDrill({ machine }: HealthParts): Verdict | undefined {
  const drill = machine.problems.find(({ kind }) => kind === "drill");
  if (!drill) return undefined;
  return {
    state: "degraded",
    sentence: sentenceOf(drill.text, 0),
    advice: "`entrepot drill stop` ends it.",
  };
}

function ofMetadata({ metadataProblem }: HealthParts): Verdict | undefined {
  if (metadataProblem === undefined) return undefined;
  return {
    state: "failing",
    sentence:
      "The metadata database does not answer: registries are asked for everything, and what they do not give fails.",
    advice: `Look at the disk: ${metadataProblem}`,
  };
}

function ofRegistries({ upstreams }: HealthParts): Verdict | undefined {
  const away = upstreams.filter(({ state }) => state === "unavailable").map(({ name }) => name);
  const limited = upstreams.filter(({ state }) => state === "rate-limited");
  if (away.length > 0 && away.length === upstreams.length) {
    const one = away.length === 1 ? `${away[0]} does not answer` : "No registry answers";
    return {
      state: "failing",
      sentence: `${one}: images that are stored here are served, and all others fail.`,
      advice: `Check the network and the name service of this machine: ${DOCTOR}.`,
    };
  }
  if (away.length > 0) {
    const isOne = away.length === 1;
    return {
      state: "degraded",
      sentence: `${list(away)} ${isOne ? "does" : "do"} not answer: ${isOne ? "its" : "their"} images that are stored here are served, and others fail.`,
      advice: `Wait, or look whether the way there is blocked: ${DOCTOR}.`,
    };
  }
  if (limited.length > 0) return ofLimits(limited);
  return undefined;
}

function ofLimits(limited: Status["upstreams"]): Verdict {
  const untils = limited.flatMap(({ addresses }) =>
    addresses.flatMap(({ rateLimitedUntil }) => rateLimitedUntil ?? []),
  );
  const until = untils.length === 0 ? "" : ` until ${timeText(Math.max(...untils))}`;
  const names = list(limited.map(({ name }) => name));
  const isAnonymous = limited.some(({ credentials }) => credentials.state === "none");
  return {
    state: "degraded",
    sentence: `${names} ${limited.length === 1 ? "limits" : "limit"} this cache${until}: images that are stored here are served, and others wait.`,
    advice: isAnonymous
      ? "Give it credentials, since limits are higher with an account; or add a mirror."
      : "Wait, or add a mirror.",
  };
}

function ofDisk({ storage, problems }: HealthParts): Verdict | undefined {
  if (!storage.isFull) return undefined;
  const reason = storage.fullReason ?? problems[0];
  return {
    state: "degraded",
    sentence: "Nothing can be stored: what is not here yet is passed on from the registries.",
    ...(reason === undefined ? {} : { advice: `Make room: ${reason}` }),
  };
}

/** Those problems of a machine that make pulls wait. Whatever else is wrong with it must not be said to. */
const SLOWING: ReadonlySet<string> = new Set<LocalProblemKind>([
  "slow-disk",
  "failing-reads",
  "file-descriptors",
  "processes",
  "ports",
]);

function ofMachine({ machine, problems }: HealthParts): Verdict | undefined {
  const slowing = machine.problems.find(({ kind }) => SLOWING.has(kind));
  if (!slowing) return undefined;
  const others = problems.filter((text) => text !== slowing.text).length;
  return {
    state: "degraded",
    sentence: sentenceOf(`this machine slows pulls down: ${slowing.text}`, others),
  };
}

function ofConfiguration({ rejected, problems }: HealthParts): Verdict | undefined {
  if (rejected === undefined) return undefined;
  return {
    state: "degraded",
    sentence: sentenceOf(rejected, problems.filter((text) => text !== rejected).length),
    advice: "Mend the file, and run `entrepot reload`: all else goes on as it was.",
  };
}

/** What has no sentence of its own: its text says what to do. */
function ofRest({ problems }: HealthParts): Verdict | undefined {
  const [problem, ...others] = problems;
  if (problem === undefined) return undefined;
  return {
    state: "degraded",
    sentence: sentenceOf(problem, others.length),
    advice: `${DOCTOR}.`,
  };
}

function wellness({ upstreams }: HealthParts): Verdict {
  const [one] = upstreams;
  if (!one) {
    const advice = "Name a registry under `upstreams` in entrepot.yaml.";
    return { state: "ok", sentence: "All is well, and no registry is configured.", advice };
  }
  const asked = upstreams.filter(({ traffic }) => traffic.responses > 0).length;
  if (asked === 0) {
    const advice = "`entrepot node apply` wires a node to it.";
    return {
      state: "ok",
      sentence: "All is well, and nothing was pulled since the start.",
      advice,
    };
  }
  const who = upstreams.length === 1 ? `${one.name} answers` : "no registry fails";
  return { state: "ok", sentence: `All is well: ${who}, and there is room on the disk.` };
}

function sentenceOf(problem: string, others: number): string {
  return `${capital(problem).replace(/\.$/, "")}${more(others)}.`;
}

function more(count: number): string {
  if (count === 0) return "";
  return ` (and ${count} more ${count === 1 ? "problem" : "problems"})`;
}

function list(names: readonly string[]): string {
  const shown = names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} others`] : names;
  return new Intl.ListFormat("en").format(shown);
}

function capital(text: string): string {
  // A name of a registry stays as it is.
  return /^[a-z]+ /.test(text) ? text.slice(0, 1).toUpperCase() + text.slice(1) : text;
}

/** `14:30 UTC`: operators and the cache need not be in the same zone. */
function timeText(moment: number): string {
  return `${new Date(moment).toISOString().slice(11, 16)} UTC`;
}
