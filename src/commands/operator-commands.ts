import type { Command } from "commander";

/** Loads each command that works on a cache, running or not. scripts/bundle.mjs bundles them without what the others need. */
export const OPERATOR_COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
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
  warm: async () => (await import("./wanted/warm.ts")).warmCommand(),
  ready: async () => (await import("./wanted/ready.ts")).readyCommand(),
  purge: async () => (await import("./store/purge.ts")).purgeCommand(),
  gc: async () => (await import("./store/gc.ts")).gcCommand(),
  fsck: async () => (await import("./store/fsck.ts")).fsckCommand(),
  jobs: async () => (await import("./jobs/jobs.ts")).jobsCommand(),
  events: async () => (await import("./events/events.ts")).eventsCommand(),
  access: async () => (await import("./access/access.ts")).accessCommand(),
};
