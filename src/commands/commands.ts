import type { Command } from "commander";
import { program } from "./program.ts";

/** Loads each command, in the order of the help. No command waits for the libraries of another. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve/serve.ts")).serveCommand(),
  status: async () => (await import("./store/status.ts")).statusCommand(),
  reload: async () => (await import("./store/reload.ts")).reloadCommand(),
  health: async () => (await import("./store/health.ts")).healthCommand(),
  ls: async () => (await import("./store/ls.ts")).lsCommand(),
  pin: async () => (await import("./store/pin.ts")).pinCommand(),
  unpin: async () => (await import("./store/pin.ts")).unpinCommand(),
  history: async () => (await import("./tags/history.ts")).historyCommand(),
  release: async () => (await import("./tags/release.ts")).releaseCommand(),
  hold: async () => (await import("./tags/release.ts")).holdCommand(),
  rollback: async () => (await import("./tags/rollback.ts")).rollbackCommand(),
  freeze: async () => (await import("./tags/freeze.ts")).freezeCommand(),
  unfreeze: async () => (await import("./tags/freeze.ts")).unfreezeCommand(),
  overrides: async () => (await import("./tags/overrides.ts")).overridesCommand(),
  policy: async () => (await import("./tags/policy.ts")).policyCommand(),
  pull: async () => (await import("./trial/pull.ts")).pullCommand(),
  warm: async () => (await import("./wanted/warm.ts")).warmCommand(),
  ready: async () => (await import("./wanted/ready.ts")).readyCommand(),
  purge: async () => (await import("./store/purge.ts")).purgeCommand(),
  gc: async () => (await import("./store/gc.ts")).gcCommand(),
  fsck: async () => (await import("./store/fsck.ts")).fsckCommand(),
  adopt: async () => (await import("./store/adopt.ts")).adoptCommand(),
  drill: async () => (await import("./drill/drill.ts")).drillCommand(),
  jobs: async () => (await import("./jobs/jobs.ts")).jobsCommand(),
  render: async () => (await import("./setup/render.ts")).renderCommand(),
  events: async () => (await import("./events/events.ts")).eventsCommand(),
  doctor: async () => (await import("./setup/doctor.ts")).doctorCommand(),
  access: async () => (await import("./access/access.ts")).accessCommand(),
  import: async () => (await import("./setup/import.ts")).importCommand(),
  node: async () => (await import("./node/node.ts")).nodeCommand(),
  completion: async () => (await import("./help/completion.ts")).completionCommand(wholeProgram),
  man: async () => (await import("./help/man.ts")).manCommand(wholeProgram),
};

/** What completion scripts call: in no help. */
export const HIDDEN_COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  __complete: async () => (await import("./help/candidates.ts")).candidatesCommand(),
};

/** The program with all commands of its help. */
export async function wholeProgram(): Promise<Command> {
  const commands = await Promise.all(Object.values(COMMANDS).map((load) => load()));
  return program(commands);
}
