/** For the tests of this folder. */
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { type ConfigFlags, type LoadedSettings, loadSettings } from "../load.ts";
import { ConfigError } from "../parsing/problems.ts";

export type Env = Record<string, string>;

/** Reads from a table of files instead of the disk. */
export function filesOf(files: Record<string, string>): ReadText {
  return (path) => {
    const text = files[path];
    if (text === undefined) throw new UnreadableError("does not exist");
    return text;
  };
}

/** Loads a file of this text, with files for passwords beside it. */
export function load(yaml: string, flags: ConfigFlags = {}, env: Env = {}): LoadedSettings {
  const files = { "/etc/e.yaml": yaml, "/etc/secret": "s3cret\n", "/etc/blank": "\n" };
  return loadSettings({
    flags: { config: "/etc/e.yaml", ...flags },
    env,
    readFile: filesOf(files),
  });
}

/** The whole message that a configuration is refused with. */
export function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "(it was taken)";
}
