import path from "node:path";
import type { ConfigFile } from "./config-file.ts";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import type { Problem } from "./parsing/problems.ts";

const VARIABLE = "ENTREPOT_ADMIN_TOKEN";
const MAX_BYTES = 4096;
/** Below that it could be guessed. */
const SHORTEST = 16;

/** What has to be shown at the admin port: from the environment, or else from the file. */
export function readAdminToken(
  file: ConfigFile | undefined,
  env: Readonly<Record<string, string | undefined>>,
  readFile: ReadText,
  problems: Problem[],
): string | undefined {
  const typed = env[VARIABLE];
  if (typed) {
    if (typed.length < SHORTEST) {
      problems.push({ message: `${VARIABLE}: is shorter than ${SHORTEST} characters` });
    }
    return typed;
  }
  const { adminToken, adminTokenFile } = file?.settings ?? {};
  if (!file || adminTokenFile === undefined) return adminToken;
  const complain = (reason: string): void => {
    problems.push(file.problem(["adminTokenFile"], reason));
  };
  if (adminToken !== undefined) complain("stands beside adminToken: only one of them can be meant");
  const name = path.resolve(file.folder, adminTokenFile);
  try {
    const token = readFile(name, MAX_BYTES).trim();
    if (token.length >= SHORTEST) return token;
    complain(`${name} holds fewer than ${SHORTEST} characters`);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    complain(`${name} ${error.message}`);
  }
  return undefined;
}
