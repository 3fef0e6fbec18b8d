import type { ReadText } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ProxyRule } from "../parsing/proxy.ts";

/** What reading an upstream's entry needs besides the entry. */
export interface UpstreamContext {
  /** Where relative paths begin: the folder of the configuration file. */
  readonly folder: string;
  readonly readFile: ReadText;
  /** Reports what is wrong at a path of the file, at its key or at its value. */
  readonly report: (path: Path, message: string, at: "key" | "value") => void;
  /** `file:line:column` of a value. */
  readonly place: (path: Path) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a program can be started by its name. */
  readonly hasProgram: (name: string) => boolean;
  /** What the environment says, for upstreams without a proxy of their own. */
  readonly proxy?: ProxyRule | undefined;
}
