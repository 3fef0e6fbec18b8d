import {
  type Configuration,
  configurationSchema,
  reloadedSchema,
} from "../../../api/configuration.ts";
import { type Given, operation, type Operation } from "../operation.ts";

/** What came of reading the configuration again. */
export interface Reloaded {
  readonly changes: readonly string[];
  readonly needsRestart: readonly string[];
  readonly problems: readonly string[];
}

export interface ConfigurationParts {
  readonly configuration: () => Given<Configuration>;
  readonly reload: () => Reloaded;
}

/** Those whose values name repositories. */
const NAMING = /(?:^|\.)(?:access|allow|deny|bypass|clients|warm|readiness|kubernetes)(?:$|[.[])/;

function withoutPatterns(configuration: Given<Configuration>): Given<Configuration> {
  const keys = configuration.keys.map((one) => {
    const { value: _, ...others } = one;
    return NAMING.test(one.key) ? others : one;
  });
  return { ...configuration, keys };
}

export function configurationOperations(parts: ConfigurationParts): Operation[] {
  const { configuration, reload } = parts;
  return [
    operation({
      id: "getConfiguration",
      method: "GET",
      path: "/configuration",
      tag: "configuration",
      summary: "The settings that are in effect, and where each comes from",
      description: "Without secrets. They are changed in the file.",
      right: "read",
      answer: configurationSchema,
      handle: ({ concealment }) =>
        concealment ? withoutPatterns(configuration()) : configuration(),
    }),
    operation({
      id: "reload",
      method: "POST",
      path: "/reload",
      tag: "configuration",
      summary: "Reads the configuration again",
      description: "What needs no restart is in use when this is answered. All or nothing.",
      right: "admin",
      answer: reloadedSchema,
      handle: reload,
    }),
  ];
}
