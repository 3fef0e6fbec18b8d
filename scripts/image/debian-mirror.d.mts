export interface MirrorRequest {
  readonly suite: string;
  /** In Debian's terms: `amd64`, `arm64`. */
  readonly architecture: string;
  /** Into which the packages are written. */
  readonly folder: string;
  /** Of `ENTREPOT_DEBIAN_MIRROR`; undefined is refused with what to set. */
  readonly mirror?: string | undefined;
}

export function downloadFromMirror(
  packages: readonly string[],
  request: MirrorRequest,
): Promise<void>;
