export interface SourceRevision {
  readonly commit?: string;
  /** Seconds since 1970. */
  readonly epoch: number;
  /** In ISO 8601. */
  readonly date: string;
}

export function sourceRevision(
  folder?: string,
  env?: Readonly<Record<string, string | undefined>>,
): SourceRevision;
