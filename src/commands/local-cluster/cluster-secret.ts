import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { ConfigError } from "../../config/parsing/problems.ts";
import { describeSystemError } from "../../store/storage-fault.ts";

const FILE = "cluster-secret";
const BYTES = 32;

/**
 * The secret of the replicas below a folder: the same at each start, so that one that is still running
 * from before works together with the others.
 *
 * @throws ConfigError if the folder cannot have it, or is that of a single cache
 */
export function clusterSecret(folder: string): string {
  if (existsSync(path.join(folder, "metadata.db"))) {
    throw rejected(`${folder} is the data directory of a single cache`);
  }
  let secret: string;
  try {
    secret = readOrMake(folder);
  } catch (error) {
    throw rejected(`${folder} cannot be used: ${describeSystemError(error)}`);
  }
  if (secret.length >= BYTES) return secret;
  const file = path.join(folder, FILE);
  throw new ConfigError([{ message: `${file} is no secret: remove it, and a new one is made` }]);
}

function readOrMake(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, FILE);
  if (!existsSync(file)) {
    const created = openSync(file, "wx", 0o600);
    writeSync(created, `${randomBytes(BYTES).toString("hex")}\n`);
    closeSync(created);
  }
  return readFileSync(file, "utf8").trim();
}

function rejected(reason: string): ConfigError {
  return new ConfigError([{ message: `${reason}: give --local-cluster another --data` }]);
}
