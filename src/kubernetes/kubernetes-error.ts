/** Why a request to a cluster's API failed. */
export type KubernetesErrorKind =
  /** Nothing answers, or not as an API does. */
  | "away"
  /** The credentials are refused (401). */
  | "unauthorized"
  /** They do not grant the right (403). */
  | "forbidden"
  /** The cluster has no such resource (404). */
  | "missing"
  /** What was known at a version is too old to go on from (410). */
  | "gone"
  /** It answers with an error. */
  | "failed";

/** The message, for the operator, says what failed and what to do. */
export class KubernetesError extends Error {
  override readonly name = "KubernetesError";

  constructor(
    readonly kind: KubernetesErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
