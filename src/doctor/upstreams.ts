import type { CredentialSource, UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { MANIFEST_ACCEPT } from "../oci/media-types.ts";
import { parseRepositoryName, type RepositoryName } from "../oci/names.ts";
import { QUIRKS } from "../upstream/quirks.ts";
import { systemResolver } from "../upstream/transport/address.ts";
import { discard } from "../upstream/transport/response-body.ts";
import { roundTrip } from "../upstream/round-trip.ts";
import type { RegistryTransport } from "../upstream/registry-transport.ts";
import { type Finding, reporter } from "./finding.ts";
import { ping } from "./ping.ts";

/** Tokens and signed URLs begin to fail if the clock is off by a few minutes. */
const MAX_CLOCK_SKEW_MS = 60_000;
/** Fewer remaining pulls than this are a problem. */
const FEW_PULLS = 20;

/** An image that is requested from a registry to test whether pulls work. */
export interface Sample {
  readonly repository: RepositoryName;
  readonly tag: string;
}

const SAMPLES: Readonly<Record<string, string>> = {
  "docker.io": "library/busybox:latest",
  "ghcr.io": "kyverno/kyverno:v1.12.0",
  "quay.io": "prometheus/busybox:latest",
  "registry.k8s.io": "pause:3.9",
  "reg.kyverno.io": "kyverno/kyverno:v1.12.0",
};

/**
 * The image to request from an upstream; undefined if it is not a valid name, or if none is given
 * and no image of this registry is known.
 *
 * @param image an image of this upstream, such as `org/app:1`
 */
export function sampleOf(upstream: string, image?: string): Sample | undefined {
  const [name = "", tag = "latest"] = (image ?? SAMPLES[upstream] ?? "").split(":");
  const repository = parseRepositoryName(name);
  return repository ? { repository, tag } : undefined;
}

const UNTRUSTED_ADVICE =
  "check this machine's clock, and whether a proxy intercepts TLS. If the registry has a private CA, set `ca` for this upstream";

/**
 * Checks one upstream: DNS, TLS, `/v2/`, the clock, one manifest, credentials and the rate limit.
 */
export async function upstreamFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  sample: Sample | undefined,
): Promise<Finding[]> {
  const { name, url } = settings;
  const findings: Finding[] = [];
  const report = (topic: string) => reporter(topic, name);
  const host = url.hostname.replaceAll(/[[\]]/g, "");
  try {
    const addresses = await systemResolver()(host);
    findings.push(report("dns")("ok", `${host} is ${addresses.slice(0, 2).join(", ")}`));
  } catch {
    const advice =
      "check /etc/resolv.conf. Ignore this if an HTTP proxy resolves names for this machine";
    findings.push(report("dns")("problem", `${host} cannot be resolved`, advice));
  }
  const response = await ping(settings, transport, "/v2/");
  if (response instanceof Fault) {
    const isTls = /certificate|TLS|SSL/i.test(response.message);
    const advice = isTls ? UNTRUSTED_ADVICE : adviceFor(response, settings);
    findings.push(report(isTls ? "tls" : "/v2/")("problem", response.message, advice));
    return findings;
  }
  const { status, headers } = response;
  if (url.protocol === "https:") findings.push(report("tls")("ok", "its certificate is trusted"));
  const isOk = status === 200 || status === 401;
  findings.push(
    isOk
      ? report("/v2/")("ok", `${status}`)
      : report("/v2/")(
          "problem",
          `${status}, but a registry returns 200 or 401`,
          `check upstreams.${name}.url, which is ${url.href}`,
        ),
    clockFinding(name, headers.get("date")),
  );
  if (sample) findings.push(...(await manifestFindings(settings, transport, sample)));
  else
    findings.push(
      report("manifest")(
        "unknown",
        "no image of this registry is known",
        `pass one: --image ${name}/org/app:tag`,
      ),
    );
  return findings;
}

function clockFinding(name: string, date: string | null): Finding {
  const report = reporter("clock", name);
  const registryTime = Date.parse(date ?? "");
  if (Number.isNaN(registryTime)) return report("unknown", "the registry sends no Date header");
  const skew = Date.now() - registryTime;
  const found = `${Math.round(Math.abs(skew) / 1000)} s ${skew < 0 ? "behind" : "ahead"}`;
  if (Math.abs(skew) <= MAX_CLOCK_SKEW_MS) return report("ok", found);
  return report(
    "problem",
    found,
    "set the clock, or tokens and certificates are rejected: `timedatectl set-ntp true`",
  );
}

async function manifestFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  { repository, tag }: Sample,
): Promise<Finding[]> {
  const { name, credentials } = settings;
  const report = reporter("manifest", name);
  const url = new URL(settings.url);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v2/${repository}/manifests/${tag}`;
  try {
    // HEAD, because Docker Hub's rate limit does not count it as a pull.
    const response = await roundTrip(settings, transport, {
      kind: "manifest",
      permit: "metadata",
      method: "HEAD",
      url,
      repository,
      headers: { accept: MANIFEST_ACCEPT },
    });
    await discard(response.body);
    const { status, headers } = response;
    const found = `${repository}:${tag}: ${status}`;
    if (status === 200) {
      return [
        report("ok", found),
        ...(credentials ? [credentialFinding(transport, settings, credentials)] : []),
        ...rateLimitFindings(name, headers, Boolean(credentials)),
      ];
    }
    if (status === 429) {
      const advice = rateLimitAdvice(Boolean(credentials));
      return [report("problem", `${found}: the rate limit is exhausted`, advice)];
    }
    if (status !== 401 && status !== 403) {
      const advice = `check that this image exists, or pass another: --image ${name}/org/app:tag`;
      return [report("problem", found, advice)];
    }
    return [
      credentials
        ? rejectedCredentials(transport, settings, credentials, status)
        : report(
            "problem",
            `${found}: it is private or does not exist`,
            `set auth for ${name}, or pass another image: --image ${name}/org/app:tag`,
          ),
    ];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // The token is fetched first, so the token endpoint rejects credentials before the registry
    // does.
    if (error.detail.kind === "upstream-denied" && credentials) {
      return [rejectedCredentials(transport, settings, credentials, error.detail.status)];
    }
    return [report("problem", error.message, adviceFor(error, settings))];
  }
}

/**
 * A public image is pulled anonymously if the credentials are rejected, so a 200 does not prove
 * them valid.
 */
function credentialFinding(
  transport: RegistryTransport,
  settings: UpstreamSettings,
  credentials: CredentialSource,
): Finding {
  const { keyring } = transport;
  if (keyring.isRefused(settings.name) || keyring.status(settings).state === "failed") {
    return rejectedCredentials(transport, settings, credentials, 401);
  }
  return reporter("credentials", settings.name)("ok", `accepted for ${userOf(credentials)}`);
}

function userOf(credentials: CredentialSource): string {
  if ("cloud" in credentials) return `the token that auth.${credentials.cloud} gets`;
  return "program" in credentials
    ? `the credentials of ${credentials.program.slice(credentials.program.lastIndexOf("/") + 1)}`
    : credentials.username;
}

function rejectedCredentials(
  { keyring }: RegistryTransport,
  settings: UpstreamSettings,
  credentials: CredentialSource,
  status: number,
): Finding {
  const { name } = settings;
  const report = reporter("credentials", name);
  const { state, problem = "" } = keyring.status(settings);
  // There were none to reject.
  if (state === "failed") return report("problem", problem, `check upstreams.${name}.auth`);
  return report(
    "problem",
    `rejected for ${userOf(credentials)} (${status})`,
    `check upstreams.${name}.auth: the password may have expired, or the account may lack access to this image`,
  );
}

/** Docker Hub's rate-limit headers; none if the registry sends none, which means no limit. */
function rateLimitFindings(name: string, headers: Headers, hasCredentials: boolean): Finding[] {
  const [remaining] = (headers.get(QUIRKS.rateLimitHeaders.remaining) ?? "").split(";");
  if (!remaining) return [];
  const [limit = "?", window] = (headers.get(QUIRKS.rateLimitHeaders.limit) ?? "").split(";");
  const hours = Number(window?.replace("w=", "")) / 3_600;
  const found = `${remaining} of ${limit} pulls left${Number.isFinite(hours) ? ` in ${hours} h` : ""}`;
  const report = reporter("rate limit", name);
  return [
    Number(remaining) < FEW_PULLS
      ? report("problem", found, rateLimitAdvice(hasCredentials))
      : report("ok", found),
  ];
}

function rateLimitAdvice(hasCredentials: boolean): string {
  return hasCredentials
    ? "wait, or use an account with a higher limit; cached images are served meanwhile"
    : "set auth: an account has a higher limit, which it does not share with other machines behind the same public address";
}

function adviceFor({ detail }: Fault, { name, url }: UpstreamSettings): string {
  switch (detail.kind) {
    case "address-refused":
      return `if this registry is in your own network, set upstreams.${name}.allowPrivate: true`;
    case "upstream-unreachable":
    case "upstream-timeout":
      return `test it on this machine: \`curl -v ${url.origin}/v2/\`. A firewall may block it, it may need a proxy, or its certificate may be invalid`;
    case "local-limit":
      return "see docs/how-to/troubleshoot.md, Problems of the cache's machine";
    case "upstream-denied":
      return `check upstreams.${name}.auth`;
    default:
      return `test it on this machine: \`curl -v ${url.origin}/v2/\``;
  }
}
