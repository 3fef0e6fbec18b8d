import type { ReadText } from "../parsing/read-text.ts";
import type { Path } from "../parsing/yaml-source.ts";
import type { ProxyRule } from "../parsing/proxy.ts";

/** The environment for reading an upstream's entry. */
export interface UpstreamContext {
  /** The directory that relative paths refer to: that of the configuration file. */
  readonly folder: string;
  readonly readFile: ReadText;
  /** Reports a problem with a key or its value. */
  readonly report: (path: Path, message: string, subject: "key" | "value") => void;
  /** The position of a value, as `file:line:column`. */
  readonly location: (path: Path) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a program is in PATH. */
  readonly hasProgram: (name: string) => boolean;
  /** The proxy rule of the environment, for upstreams without a `proxy` key. */
  readonly proxy?: ProxyRule | undefined;
}
