import { CONFIG_FILES, type Container } from "./container.ts";

/** Where a container's registry reads its configuration. */
export interface ConfigLocation {
  /** The paths in the container, of which the first that exists counts. */
  readonly files: readonly string[];
  /** Whether the command or a variable names the file, so that it must exist. */
  readonly isNamed: boolean;
}

/** Commands of the registry that do not serve. */
const OTHER_COMMANDS = new Set(["garbage-collect", "help", "--version", "-v"]);

/**
 * What the container runs: the registry with a configuration, another command of the registry, or
 * something that only a shell can tell.
 */
export type RegistryCommand =
  ConfigLocation | { readonly other: string } | { readonly shell: string };

/**
 * Finds the configuration as the image's entrypoint does: `serve FILE`, a file alone, or
 * REGISTRY_CONFIGURATION_PATH for `serve` without a file.
 */
export function registryCommand({
  entrypoint,
  command,
  environment,
}: Pick<Container, "entrypoint" | "command" | "environment">): RegistryCommand {
  const words = [...(entrypoint ?? []), ...command];
  const other = words.find((word) => OTHER_COMMANDS.has(word));
  if (other !== undefined) return { other };
  if (
    words.some((word, index) => /(?:^|\/)(?:ba|da|a)?sh$/.test(word) && words[index + 1] === "-c")
  )
    return shellCommand(words.join(" "));
  const serve = words.indexOf("serve");
  const file = (serve < 0 ? words : words.slice(serve + 1)).find((word) =>
    serve < 0 ? /\.ya?ml$/.test(word) : !word.startsWith("-"),
  );
  // The image has a file at its own path.
  if (file !== undefined) return { files: [file], isNamed: !CONFIG_FILES.includes(file) };
  const path = environment.findLast(({ name }) => name === "REGISTRY_CONFIGURATION_PATH")?.value;
  // Without a command, that of the image names its own file, which comes before the variable.
  if (path && words.length > 0) return { files: [path], isNamed: true };
  return { files: CONFIG_FILES, isNamed: false };
}

/** Commands of a shell that may change the settings: they write the file, or set variables. */
const CHANGES_SETTINGS =
  /\b(?:export|sed|envsubst|cat|tee|cp|mv|htpasswd|eval|REGISTRY_\w+=)|[>`]|\$\(/;

/** A script that does something else first, such as `update-ca-certificates && /entrypoint.sh FILE`. */
function shellCommand(script: string): RegistryCommand {
  const files = [...new Set(script.match(/\/[\w./-]+\.ya?ml\b/g))];
  const isPlain = files.length === 1 && !CHANGES_SETTINGS.test(script);
  return isPlain ? { files, isNamed: true } : { shell: script };
}
