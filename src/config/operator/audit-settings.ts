/** Where it is recorded who pulled what. */
export interface AuditSettings {
  /** An absolute path. Absent: the log. */
  readonly file?: string;
  /** The size at which the file is replaced by a new one, in bytes. */
  readonly maxSize: number;
  /** How many older files are kept. */
  readonly keep: number;
}
