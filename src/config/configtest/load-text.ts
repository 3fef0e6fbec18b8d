/** Helpers for the tests of config/. */
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { type ConfigFlags, type LoadedSettings, loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";

export type Env = Record<string, string>;

/** Reads files from a table instead of the file system. */
export function filesOf(files: Record<string, string>): ReadText {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw new UnreadableError("does not exist");
    return text;
  };
}

/** Loads a configuration file with this text, beside a password file and an empty one. */
export function load(yaml: string, flags: ConfigFlags = {}, env: Env = {}): LoadedSettings {
  const files = { "/etc/e.yaml": yaml, "/etc/secret": "s3cret\n", "/etc/blank": "\n" };
  return loadSettings({
    flags: { config: "/etc/e.yaml", ...flags },
    env,
    readFile: filesOf(files),
  });
}

/** The message of the ConfigError that a function throws. */
export function configErrorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "(accepted)";
}
