import { Argument, Option } from "commander";

/** A value that can be typed, with a line about it, or an empty one. */
export interface KnownValue {
  readonly value: string;
  readonly title: string;
}

/**
 * An argument whose values are known. Its description or the help lists them, so they are no `choices`,
 * which the help would repeat without titles.
 */
export class KnownValuesArgument extends Argument {
  constructor(
    flags: string,
    description: string,
    readonly values: readonly KnownValue[],
  ) {
    super(flags, description);
  }
}

/** An option of the same kind. Its command rejects other values. */
export class KnownValuesOption extends Option {
  constructor(
    flags: string,
    description: string,
    readonly values: readonly KnownValue[],
  ) {
    super(flags, description);
  }
}
