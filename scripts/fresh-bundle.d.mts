/** `current.json`, which says what a bundle was made of, and where it is. */
export interface Current {
  /** The checkout, with a slash at its end. */
  readonly folder: string;
  readonly bun: string;
  /** Of the bundle's folder. */
  readonly name: string;
  readonly files: readonly string[];
  readonly state: string;
}

export declare const root: string;
export declare function home(folder: string): string;
export declare function currentFile(folder: string): string;
export declare function runtime(): string;
export declare function stateOf(folder: string, files: readonly string[]): string;
export declare function freshBundle(folder?: string): string | undefined;
export declare function readCurrent(folder?: string): Current | undefined;
