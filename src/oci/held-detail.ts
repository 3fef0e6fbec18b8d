/** The rules, or an operator, have it held back. */
export interface HeldDetail {
  readonly kind: "held";
  readonly upstream: string;
  /** Says why, and what to do. */
  readonly text: string;
  /** Whether it is for its signatures. */
  readonly isUnsigned?: boolean;
}
