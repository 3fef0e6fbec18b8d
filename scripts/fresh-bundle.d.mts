/** The content of `current.json`: where the current bundle is, and what it was built from. */
export interface Current {
  /** The checkout's path, with a trailing slash. */
  readonly folder: string;
  /** The value of `runtime()` at build time. */
  readonly bun: string;
  /** The name of the bundle's folder. */
  readonly name: string;
  /** Its inputs and outputs, relative to the checkout. */
  readonly files: readonly string[];
  /** The value of `stateOf()` for these files. */
  readonly state: string;
}

export declare const root: string;
export declare function bundlesFolder(folder: string): string;
export declare function currentFile(folder: string): string;
export declare function runtime(): string;
export declare function stateOf(folder: string, files: readonly string[]): string;
export declare function freshBundle(folder?: string): string | undefined;
export declare function readCurrent(folder?: string): Current | undefined;
