export interface Built {
  readonly arch: "x64" | "arm64";
  readonly version: string;
  /** Seconds since 1970. */
  readonly epoch: number;
  readonly executable: string;
  /** The folder that `buildShare` writes. */
  readonly share: string;
}

export function packagedUnit(name: string): string;
