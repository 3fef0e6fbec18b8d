import { describeSystemError, systemCode } from "../../store/storage-fault.ts";

/** Classes of SQLSTATE that are about what a statement says: it never succeeds. */
const DATA_CLASSES: ReadonlySet<string> = new Set(["21", "22", "23", "54"]);
/** What a statement met by chance, such as a deadlock. */
const CHANCE_CLASS = "40";
/** The server does not do what it has to: it is full, read-only, lacks tables or permissions, or is broken. */
const REFUSAL_CLASSES: ReadonlySet<string> = new Set(["25", "42", "53", "58", "XX"]);
/** A statement took longer than it may, or was cancelled. */
const CANCELLED = "57014";

/** What the person who runs the database can do about some errors. */
const ADVICE: Readonly<Record<string, string>> = {
  "25006": "the server is read-only, such as a standby: use the address of the primary",
  "28000": "the server does not accept this user: see its pg_hba.conf",
  "28P01": "the user or the password is wrong",
  "3D000": "there is no such database: create it",
  "42501":
    "the user lacks a permission: let it own the database, and the schema entrepot with its tables if it is there",
  "53100": "the server's disk is full",
  "53300": "the server has no connection left: raise max_connections",
  "57P03": "the server is starting or stopping",
  XX000: "the server has an internal error, as with a full disk: see its log",
};

/** The server has no rule for the user without TLS; up to version 13, in other words. */
const UNENCRYPTED = /, (?:no encryption|SSL off)$/;
const NEEDS_TLS =
  "the server may want TLS: add ?sslmode=require to the URL, or see its pg_hba.conf";

/** What the client met before the server said anything. */
const UNANSWERED: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens at its address",
  ECONNRESET: "it broke the connection",
  EPIPE: "it broke the connection",
  ENOTFOUND: "its name cannot be resolved",
  EAI_AGAIN: "its name cannot be resolved now",
  EHOSTUNREACH: "it cannot be routed to from this machine",
  ENETUNREACH: "it cannot be routed to from this machine",
  ETIMEDOUT: "it does not answer",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: is the clock right?",
};
const UNTRUSTED = /SELF_SIGNED|UNABLE_TO_(?:GET_ISSUER|VERIFY)|CERT_UNTRUSTED|CERT_CHAIN/;

/** What the client says without a code. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/timeout/i, "it does not answer"],
  [/^Connection terminated|not queryable/, "it ended the connection"],
  [/not support SSL/, "it has no TLS: set it up there, or sslmode=disable in the URL"],
];

/** The SQLSTATE with which the server answered; `undefined` if it did not answer. */
export function sqlState(error: unknown): string | undefined {
  const code = systemCode(error);
  // Codes of the system are longer, such as ECONNREFUSED.
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) && code !== "EPIPE" ? code : undefined;
}

/** Whether an error is about what the statement says, so that it never succeeds: the server works. */
export function isOfData(error: unknown): boolean {
  return DATA_CLASSES.has(sqlState(error)?.slice(0, 2) ?? "");
}

/** Whether the server refuses the user, or what the user may do in this database. */
export function isDenied(error: unknown): boolean {
  const state = sqlState(error);
  return state?.startsWith("28") === true || state === "3D000" || state === "42501";
}

/** Whether an error is about the one statement, so that another may succeed: the server works. */
export function isOfStatement(error: unknown): boolean {
  const state = sqlState(error);
  return state === CANCELLED || state?.startsWith(CHANCE_CLASS) === true || isOfData(error);
}

/** Whether the server answers, but does not do what it has to, whatever the statement. */
export function isRefusal(error: unknown): boolean {
  return REFUSAL_CLASSES.has(sqlState(error)?.slice(0, 2) ?? "");
}

/** What went wrong, for people, without the password. */
export function describeDatabaseError(error: unknown): string {
  const state = sqlState(error);
  if (state !== undefined) {
    const message = error instanceof Error ? error.message : "";
    const advice = UNENCRYPTED.test(message) ? NEEDS_TLS : ADVICE[state];
    return advice === undefined ? `${message} (${state})` : `${advice} (${state}: ${message})`;
  }
  const code = systemCode(error) ?? "";
  const known = UNANSWERED[code];
  if (known !== undefined) return `${known} (${code})`;
  if (UNTRUSTED.test(code)) return `its certificate is of a CA that is not trusted here (${code})`;
  const message = error instanceof Error ? error.message : "";
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? describeSystemError(error);
}
