/** Bun compares hosts as text, without CIDR ranges. */
const LOCAL = ["localhost", "127.0.0.1", "::1"];

/**
 * Keeps this program's own requests to this machine away from HTTP_PROXY, as Go programs and curl do
 * without being told: a proxy for registries cannot reach the admin port.
 */
export function keepLoopbackFromProxy(env: Record<string, string | undefined>): void {
  const given = env["no_proxy"] || env["NO_PROXY"] || "";
  const hosts = [given, ...LOCAL].filter((host) => host !== "").join(",");
  // Whichever of both names is read.
  env["no_proxy"] = hosts;
  env["NO_PROXY"] = hosts;
}
