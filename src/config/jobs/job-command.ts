import type { JobKind } from "../foreign/imported-config.ts";

/** In characters: cron takes fewer. */
export const MAX_COMMAND = 4096;

/** A program in a command line, with or without its path. */
const program = (names: string): string => String.raw`(?:^|[\s;&|(){}"'\`/])(?:${names})`;
/** Options and subcommands before what a program shall do, up to the end of the command. */
const WORDS = String.raw`\s(?:[^;&|\n]*?\s)?`;

/** Names of units that are those of a registry, or of what runs one. */
const UNIT = String.raw`\S*(?:registry|distribution|mirror|docker|podman|container|quay|ghcr)\S*`;
const COLLECTS = /\bgarbage-collect\b/;
const END = String.raw`(?=[\s;&|)"'\`]|$)`;
/** `docker restart hub`, `podman --root /x start hub`, `docker compose -f hub.yml up -d`. */
const CONTAINERS = new RegExp(
  `${program("(?:docker|podman|nerdctl)(?:-compose)?")}${WORDS}(?:restart|start|stop|kill|rm|run|create|update|up|down|unpause)${END}`,
);
const NAMED_UNIT = new RegExp(`${program("systemctl|service")}${WORDS}${UNIT}${END}`);
const RESTARTS = [
  CONTAINERS,
  ...[
    `${program("systemctl")}${WORDS}(?:restart|try-restart|reload-or-restart|try-reload-or-restart|start|stop)`,
    `${program("service")}${WORDS}(?:restart|force-reload|start|stop)`,
    String.raw`/etc/init\.d/\S+\s+(?:restart|force-reload|start|stop)`,
  ].map((source) => new RegExp(source + END)),
];

/**
 * What a line of a script does to an old registry. Scripts of the system restart services of all kinds: only
 * those with a telling name count.
 */
export function scriptJobKind(line: string): JobKind | undefined {
  const kind = jobKind(line);
  if (kind !== "restarts") return kind;
  const looked = line.slice(0, MAX_COMMAND);
  return CONTAINERS.test(looked) || NAMED_UNIT.test(looked) ? kind : undefined;
}

/** What a job does to an old registry; undefined if nothing that would be in the way of a migration. */
export function jobKind(command: string): JobKind | undefined {
  // The patterns take time that grows with the square of the length.
  const looked = command.slice(0, MAX_COMMAND);
  if (COLLECTS.test(looked)) return "collects-garbage";
  return RESTARTS.some((pattern) => pattern.test(looked)) ? "restarts" : undefined;
}

/** What to say of such a job. */
export const STARTS_REGISTRY =
  "starts a registry, and jobs are not converted: import its command in a script of its own as well";

/** Whether a job starts a pull-through cache itself, as a line with @reboot does. */
export function startsRegistry(command: string): boolean {
  return jobKind(command) === "restarts" && command.includes("REGISTRY_PROXY_REMOTEURL");
}

/** Scripts that a command runs: their absolute paths where a shell looks for a command. */
export function scriptsOf(command: string): string[] {
  const commands = command.split(/&&|\|\||[;&|\n]/);
  return commands.flatMap((one) => {
    const words = one
      .trim()
      .split(/\s+/)
      .filter((word) => !/^[A-Za-z_]\w*=/.test(word));
    const name = words.find((word, at) => at === words.length - 1 || !isWrapper(word));
    return name !== undefined && /^\/[^"'$`*?]+$/.test(name) && !isSystemPath(name) ? [name] : [];
  });
}

/** Programs that run another one, their options, and the user in a copy of a system's crontab. */
function isWrapper(word: string): boolean {
  const wrappers =
    /^(?:\S*\/)?(?:sh|bash|dash|env|nice|ionice|sudo|flock|timeout|chronic|nohup|exec|time|test|\[|root)$/;
  return wrappers.test(word) || word.startsWith("-") || /^\d+[smh]?$/.test(word);
}

/** Not files that are to be read, or not to be read to their end. */
function isSystemPath(name: string): boolean {
  return /^\/(?:dev|proc|sys|run)\//.test(name);
}
