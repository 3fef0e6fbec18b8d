const VALUE = String.raw`(?:"[^"]*"|'[^']*'|[^\s"';&|])+`;
const VARIABLE = new RegExp(String.raw`(?<![-\w])([A-Z_][A-Z0-9_]*)=${VALUE}`, "g");
const PASSWORD = new RegExp(
  String.raw`(?<=\s)(--?(?:pass(?:word)?|token|secret)[= ])${VALUE}`,
  "g",
);
/** As curl and wget take them: `-u user:password`. */
const USER = /(?<=\s)((?:-[a-zA-Z]*u|--user)[= ]?["']?[^\s:"']+:)[^\s"';&|]+/g;
const USER_INFO = /\/\/[^/\s@]*@/g;

/** A command as it can be printed and written to files: what may be a password is left out. */
export function shownCommand(command: string): string {
  return command
    .replaceAll(VARIABLE, "$1=…")
    .replaceAll(PASSWORD, "$1…")
    .replaceAll(USER, "$1…")
    .replaceAll(USER_INFO, "//…@");
}
