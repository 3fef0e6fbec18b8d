import { escapeUnprintable } from "../../printable.ts";
import type { ImportedConfig, RunningPlace } from "../../config/foreign/imported-config.ts";

export interface ComposeStepsOptions {
  /** The path of the new Compose file. */
  readonly compose: string;
  /** Files that the container's user cannot read yet. */
  readonly unreadable: readonly string[];
  readonly user: number;
}

const ARCHITECTURE = process.arch === "arm64" ? "arm64" : "amd64";

/** What an operator does with the Compose file for old registries, one line each; indented lines are typed. */
export function composeSteps(
  imported: ImportedConfig,
  { compose, unreadable, user }: ComposeStepsOptions,
): string[] {
  const { replaced, adoptable } = imported;
  const left = withoutData(imported);
  const stop = commandsOn("stop", replaced);
  const file = shellWord(compose);
  const run = `docker compose --file ${file}`;
  const steps: string[][] = [
    [
      "Build and load the image:",
      `  npm run image && docker load --input dist/entrepot-image-linux-${ARCHITECTURE}.tar`,
    ],
    ...(unreadable.length === 0
      ? []
      : [
          [
            `As root, let the container's user, ${user}, read what it needs:`,
            ...unreadable.map(
              (path) => `  chgrp ${user} ${shellWord(path)} && chmod g+r ${shellWord(path)}`,
            ),
          ],
        ]),
    [
      "Check the network, the registries and the disk from inside the container:",
      `  ${run} run --rm entrepot doctor`,
    ],
    ["Remove the cron jobs that restart the old registries or collect their garbage."],
    stop.length > 0
      ? ["Stop the old registries, and nothing else of their files:", ...stop]
      : ["Stop the old registries."],
    ...(adoptable.length === 0
      ? []
      : [
          [
            "Take over their blobs. Their data is mounted read-only, and copied:",
            `  ${run} run --rm adopt`,
          ],
        ]),
    ["Start the cache, and wait until it serves nodes:", `  ${run} up --detach --wait`],
  ];
  const start = commandsOn("start", replaced);
  const remove = commandsOn("rm", replaced);
  return [
    ...steps.flatMap(([title = "", ...typed], index) => [`${index + 1}. ${title}`].concat(typed)),
    ...(left.length === 0
      ? []
      : [
          `What ${left.join(", ")} had is fetched again: no volume or folder with it is named. \`docker inspect\` shows one without a name of its own.`,
        ]),
    "To go back; the data of the old registries has not changed:",
    `  ${run} down`,
    ...(start.length > 0 ? start : ["Then start the old registries."]),
    ...(remove.length > 0
      ? [
          "Once you are satisfied, and before the next reboot, which may start them again:",
          ...remove,
        ]
      : []),
  ];
}

/** The upstreams whose old data is not known. */
function withoutData({ value: { upstreams }, adoptable }: ImportedConfig): string[] {
  const names = typeof upstreams === "object" && upstreams !== null ? Object.keys(upstreams) : [];
  return names.filter((name) => !adoptable.some(({ upstream }) => upstream === name));
}

/** One command for each file and each tool. */
function commandsOn(verb: "stop" | "start" | "rm", places: readonly RunningPlace[]): string[] {
  const groups = Map.groupBy(places, (place) =>
    "service" in place
      ? `docker compose ${place.files.map((file) => `--file ${shellWord(file)}`).join(" ")} ${verb}`
      : `${place.program} ${verb}`,
  );
  return [...groups].map(([command, group]) => {
    const names = group.map((place) => ("service" in place ? place.service : place.container));
    const end = names.some((name) => name.startsWith("-")) ? "-- " : "";
    return `  ${command} ${end}${names.map(shellWord).join(" ")}`;
  });
}

/** A word for a shell, which people copy. Nothing in it is ever run, or ends the line. */
function shellWord(text: string): string {
  const line = escapeUnprintable(text, () => "?");
  return /^[\w./@%+,=][\w./:@%+,=-]*$/.test(line)
    ? line
    : `'${line.replaceAll("'", String.raw`'\''`)}'`;
}
