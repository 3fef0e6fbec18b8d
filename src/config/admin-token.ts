import path from "node:path";
import type { ConfigFile } from "./config-file.ts";
import { type ReadText, UnreadableError } from "./parsing/read-text.ts";
import type { Problem } from "./parsing/problems.ts";

const VARIABLE = "ENTREPOT_ADMIN_TOKEN";
const MAX_BYTES = 4096;
/** In characters. Shorter tokens could be guessed. */
const MIN_LENGTH = 16;

/**
 * The bearer token for the admin port: from the environment, or else from the file. Problems are
 * appended.
 */
export function readAdminToken(
  file: ConfigFile | undefined,
  env: Readonly<Record<string, string | undefined>>,
  readFile: ReadText,
  problems: Problem[],
): string | undefined {
  const fromEnvironment = env[VARIABLE];
  if (fromEnvironment) {
    if (fromEnvironment.length < MIN_LENGTH) {
      problems.push({ message: `${VARIABLE}: is shorter than ${MIN_LENGTH} characters` });
    }
    return fromEnvironment;
  }
  const { adminToken, adminTokenFile } = file?.settings ?? {};
  if (!file || adminTokenFile === undefined) return adminToken;
  const report = (reason: string): void => {
    problems.push(file.problem(["adminTokenFile"], reason));
  };
  if (adminToken !== undefined) report("conflicts with adminToken: set only one of them");
  const name = path.resolve(file.folder, adminTokenFile);
  try {
    const token = readFile(name, MAX_BYTES).trim();
    if (token.length >= MIN_LENGTH) return token;
    report(`${name} has fewer than ${MIN_LENGTH} characters`);
  } catch (error) {
    if (!(error instanceof UnreadableError)) throw error;
    report(`${name} ${error.message}`);
  }
  return undefined;
}
