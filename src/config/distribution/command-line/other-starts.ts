import { isRegistryImage } from "../container/container.ts";
import type { ShellWord } from "./shell-values.ts";

/** A command that may start registries which another file describes, by its program and a word. */
const STARTERS: readonly {
  readonly programs: RegExp;
  readonly verbs: RegExp;
  /** What one of its words has to contain. */
  readonly about: RegExp;
  readonly advice: string;
}[] = [
  {
    programs: /^(?:docker|podman|nerdctl)(?:-compose)?$/,
    verbs: /^(?:compose|stack|up)$/,
    about: /^(?:up|start|create|deploy)$/,
    advice: "starts containers that a Compose file describes: import that file as well",
  },
  {
    programs: /^podman$/,
    verbs: /^(?:kube|play)$/,
    about: /^(?:play|kube|.*\.ya?ml)$/,
    advice: "starts containers that a manifest describes: import that file as well",
  },
  {
    programs: /^(?:kubectl|oc|helm|k3s)$/,
    verbs: /^(?:apply|create|install|upgrade)$/,
    about: /registry/,
    advice: "may install a registry: import its manifest or its values as well",
  },
  {
    programs: /^(?:docker-)?registry$/,
    verbs: /^serve$/,
    about: /^/,
    advice: "starts a registry without a container: import its config.yml as well",
  },
];

/** What to import as well, for a command that starts what another file describes. */
export function startedElsewhere(name: string, words: readonly ShellWord[]): string | undefined {
  const texts = words.map(({ text }) => text);
  return STARTERS.find(
    ({ programs, verbs, about }) =>
      (programs.test(name) || texts.some((text) => programs.test(text))) &&
      texts.some((text) => verbs.test(text)) &&
      texts.some((text) => about.test(text)),
  )?.advice;
}

/** Programs that only print their arguments, or compare or fetch an image. */
const HARMLESS = new Set(
  "echo printf log test [ [[ grep egrep sed awk envsubst skopeo crane regctl".split(" "),
);
/** Words of other commands that look at images, but start nothing. */
const HARMLESS_WORD =
  /^(?:pull|push|inspect|verify|scan|copy|tag|rmi|rm|save|load|images?|sbom|attest|sign|set)$/;
/** Verbs of container engines that start nothing. */
const HARMLESS_VERBS = new Set(
  [
    "build buildx commit container cp diff events exec export history image images import info",
    "inspect kill load login logout logs manifest network pause port ps pull push rename restart rm",
    "rmi save scout search start stats stop system tag top unpause update version volume wait",
  ].flatMap((names) => names.split(" ")),
);

/** Whether a program, or a verb of a container engine, starts nothing, whatever its arguments are. */
export function isHarmless(name: string, verb: string | undefined): boolean {
  return HARMLESS.has(name) || (verb !== undefined && HARMLESS_VERBS.has(verb));
}

/** The word of a command that makes it likely that it starts a registry. */
export function suspectWord(words: readonly ShellWord[]): ShellWord | undefined {
  if (words.some(({ text }) => HARMLESS_WORD.test(text))) return undefined;
  // `registry:5000` is a host and its port.
  const image = words.find(
    ({ text }) => isRegistryImage(text) && /[:@/]/.test(text) && !/^registry:\d{4,5}$/.test(text),
  );
  return image ?? words.find(({ text }) => text.includes("REGISTRY_PROXY_REMOTEURL"));
}
