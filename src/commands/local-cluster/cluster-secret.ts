import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import path from "node:path";
import { ConfigError } from "../../config/parsing/problems.ts";

/**
 * The secret of the replicas below a folder: the same at each start, so that one that is still running
 * from before works together with the others.
 *
 * @throws ConfigError if the folder is that of a single cache
 */
export function clusterSecret(folder: string): string {
  if (existsSync(path.join(folder, "metadata.db"))) {
    throw new ConfigError([
      {
        message: `${folder} is the data directory of a single cache: give --local-cluster another --data`,
      },
    ]);
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, "cluster-secret");
  if (!existsSync(file)) {
    const created = openSync(file, "wx", 0o600);
    writeSync(created, `${randomBytes(32).toString("hex")}\n`);
    closeSync(created);
  }
  return readFileSync(file, "utf8").trim();
}
