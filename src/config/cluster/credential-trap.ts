/**
 * Whether a client that is redirected from a host to a URL sends its credentials for the host on: HTTP clients do
 * to the same host and to those below it, whatever the port (Go's `net/http`, shouldCopyHeaderOnRedirect). An
 * object store refuses a request that it does not understand the credentials of, and so the pull fails.
 */
export function receivesCredentials({ hostname }: URL, host: string): boolean {
  if (host === "") return false;
  const [target, from] = [bare(hostname), bare(host)];
  return target === from || target.endsWith(`.${from}`);
}

function bare(hostname: string): string {
  return hostname.toLowerCase().replaceAll(/^\[|\]$|\.$/g, "");
}
