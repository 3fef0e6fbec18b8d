/** Where traces are sent, and how many. */
export interface TracingSettings {
  /** That of OTLP's traces: with its path. */
  readonly endpoint: URL;
  /** The part of the pulls that is traced, if their client does not decide: from 0 to 1. */
  readonly sample: number;
  /** The file with headers of each request, which may be replaced at any time. */
  readonly headersFile?: string;
  /** CA certificates to trust in addition to the public ones, as PEM text. */
  readonly ca?: string;
}
