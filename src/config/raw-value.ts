import { type Address, addressProblem, parseAddress } from "./parsing/address.ts";
import type { Problem } from "./parsing/problems.ts";
import type { Path } from "./parsing/yaml-source.ts";

/** A value before parsing, with a function that reports a problem with its origin. */
export interface RawValue {
  readonly value: string;
  readonly isDefault: boolean;
  /** The directory that a relative path in the value refers to. */
  readonly folder: string;
  readonly problem: (message: string) => Problem;
}

/** The file of a value. */
interface ValueFile {
  readonly folder: string;
  problem(at: Path, message: string): Problem;
}

export function fileValue(
  file: ValueFile,
  at: Path,
  value: string | undefined,
): RawValue | undefined {
  if (value === undefined) return undefined;
  return {
    value,
    isDefault: false,
    folder: file.folder,
    problem: (message) => file.problem(at, message),
  };
}

export function readAddress(
  raw: RawValue,
  defaultHost: string,
  problems: Problem[],
): Address | undefined {
  const address = parseAddress(raw.value, defaultHost);
  if (!address) problems.push(raw.problem(addressProblem(raw.value)));
  return address;
}
