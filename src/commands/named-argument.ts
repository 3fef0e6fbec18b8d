import { InvalidArgumentError } from "commander";

/** For options and arguments that name something: an empty one is a variable of a script that was not set. */
export function named(what: string): (text: string) => string {
  return (text) => {
    if (text.trim() !== "") return text;
    throw new InvalidArgumentError(`It is empty: write ${what}.`);
  };
}
