import path from "node:path";
import { type ReadText, UnreadableError } from "../parsing/read-text.ts";
import { type AdminTokens, tokenProblem } from "./admin-token.ts";

/** The keys of entrepot.yaml that have tokens. */
interface TokenSettings {
  readonly adminToken?: string | undefined;
  readonly adminTokenFile?: string | undefined;
  readonly readTokenFile?: string | undefined;
}

interface TokenSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The directory that relative paths refer to. */
  readonly folder: string;
  readonly readFile: ReadText;
  readonly report: (
    key: "adminTokenFile" | "readTokenFile",
    message: string,
    subject: "key" | "value",
  ) => void;
  readonly reportVariable: (variable: string, message: string) => void;
}

const VARIABLE = "ENTREPOT_ADMIN_TOKEN";
const MAX_BYTES = 64 * 1024;
/** The old and the new one, and some to spare. */
const MAX_TOKENS = 16;

/**
 * The tokens for the admin port: that of the environment or else those of the files. Problems are
 * reported, and never show a token.
 */
export function readAdminTokens(
  { adminToken, adminTokenFile, readTokenFile }: TokenSettings,
  { env, folder, readFile, report, reportVariable }: TokenSources,
): AdminTokens | undefined {
  const inFile = (key: Parameters<typeof report>[0], name: string): readonly string[] => {
    const absolute = path.resolve(folder, name);
    try {
      const tokens = tokensIn(readFile(absolute, MAX_BYTES));
      if (typeof tokens !== "string") return tokens;
      report(key, `${absolute} ${tokens}`, "value");
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      report(key, `${absolute} ${error.message}`, "value");
    }
    return [];
  };

  // An empty variable counts as unset, as for the others.
  const fromEnvironment = env[VARIABLE] || undefined;
  const read = readTokenFile === undefined ? [] : inFile("readTokenFile", readTokenFile);
  if (fromEnvironment !== undefined) {
    const problem = tokenProblem(fromEnvironment);
    if (problem !== undefined) reportVariable(VARIABLE, problem);
    return { admin: [fromEnvironment], read };
  }
  if (adminToken !== undefined && adminTokenFile !== undefined) {
    report("adminTokenFile", "conflicts with adminToken: set only one of them", "value");
  }
  const inline = adminToken === undefined ? [] : [adminToken];
  const [first, ...more] =
    adminTokenFile === undefined ? inline : inFile("adminTokenFile", adminTokenFile);
  if (first === undefined) {
    if (readTokenFile !== undefined && adminTokenFile === undefined) {
      const advice = "set adminTokenFile too: without it, everything is allowed without a token";
      report("readTokenFile", `needs an admin token beside it: ${advice}`, "key");
    }
    return undefined;
  }
  const admin = [first, ...more] as const;
  if (read.some((token) => admin.includes(token))) {
    report("readTokenFile", "has a token that is an admin token as well: use another", "value");
  }
  return { admin, read };
}

/** One token on each line; or what is wrong with them, as text that follows the name of the file. */
function tokensIn(text: string): readonly string[] | string {
  const lines = text.split(/\r?\n/).map((line, index) => ({ token: line.trim(), index }));
  const tokens = lines.filter(({ token }) => token !== "");
  if (tokens.length === 0) return "contains no token";
  if (tokens.length > MAX_TOKENS) return `has more than ${MAX_TOKENS} tokens`;
  for (const { token, index } of tokens) {
    const problem = tokenProblem(token);
    if (problem !== undefined) return `line ${index + 1}: ${problem}`;
  }
  return tokens.map(({ token }) => token);
}
