export interface MirrorRequest {
  readonly suite: string;
  /** In Debian's terms: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Into which the packages are written. */
  readonly folder: string;
  /** Default: Debian's own. */
  readonly mirror?: string;
}

export function downloadFromMirror(
  packages: readonly string[],
  request: MirrorRequest,
): Promise<void>;
