import type { CredentialSource, UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { MANIFEST_ACCEPT } from "../oci/media-types.ts";
import { parseRepositoryName, type RepositoryName } from "../oci/names.ts";
import { systemResolver } from "../upstream/transport/address.ts";
import { discard } from "../upstream/transport/response-body.ts";
import { roundTrip } from "../upstream/round-trip.ts";
import type { RegistryTransport } from "../upstream/registry-transport.ts";
import { about, type Finding } from "./finding.ts";
import { pinged } from "./ping.ts";

/** Tokens and signed addresses begin to fail at some minutes. In milliseconds. */
const CLOCK_OFF = 60_000;
const FEW_PULLS = 20;

/** An image that a registry is known to have, asked for to see that pulls work. */
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

/** `org/app:1`; undefined where it is none, or nothing is known of this registry. */
export function sampleOf(upstream: string, given?: string): Sample | undefined {
  const [name = "", tag = "latest"] = (given ?? SAMPLES[upstream] ?? "").split(":");
  const repository = parseRepositoryName(name);
  return repository ? { repository, tag } : undefined;
}

const untrusted =
  "is the clock right? Is something between that opens TLS? A registry with an authority of its own needs that authority";

/** What operators check by hand: DNS, TLS, `/v2/`, the clock, credentials, one manifest, the budget. */
export async function upstreamFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  sample: Sample | undefined,
): Promise<Finding[]> {
  const { name, url } = settings;
  const findings: Finding[] = [];
  const report = (topic: string) => about(topic, name);
  const host = url.hostname.replaceAll(/[[\]]/g, "");
  try {
    const addresses = await systemResolver()(host);
    findings.push(report("dns")("ok", `${host} is ${addresses.slice(0, 2).join(", ")}`));
  } catch {
    const advice =
      "see /etc/resolv.conf; behind a proxy that resolves names this is as it should be";
    findings.push(report("dns")("problem", `${host} cannot be resolved`, advice));
  }
  const ping = await pinged(settings, transport, "/v2/");
  if (ping instanceof Fault) {
    const isTls = /certificate|TLS|SSL/i.test(ping.message);
    const advice = isTls ? untrusted : adviceFor(ping, settings);
    findings.push(report(isTls ? "tls" : "/v2/")("problem", ping.message, advice));
    return findings;
  }
  const { status, headers } = ping;
  if (url.protocol === "https:") findings.push(report("tls")("ok", "its certificate is trusted"));
  const fine = status === 200 || status === 401;
  findings.push(
    fine
      ? report("/v2/")("ok", `${status}`)
      : report("/v2/")(
          "problem",
          `${status}, where a registry answers 200 or 401`,
          `is url right? It is ${url.href}`,
        ),
    clockFinding(name, headers.get("date")),
  );
  if (sample) findings.push(...(await manifestFindings(settings, transport, sample)));
  else
    findings.push(
      report("manifest")(
        "unknown",
        "no image of it is known here",
        `name one: --image ${name}/org/app:tag`,
      ),
    );
  return findings;
}

function clockFinding(name: string, date: string | null): Finding {
  const report = about("clock", name);
  const there = Date.parse(date ?? "");
  if (Number.isNaN(there)) return report("unknown", "it sends no Date");
  const off = Date.now() - there;
  const found = `${Math.round(Math.abs(off) / 1000)} s ${off < 0 ? "behind" : "ahead"}`;
  if (Math.abs(off) <= CLOCK_OFF) return report("ok", found);
  return report(
    "problem",
    found,
    "tokens and certificates fail by the clock: `timedatectl set-ntp true`",
  );
}

async function manifestFindings(
  settings: UpstreamSettings,
  transport: RegistryTransport,
  { repository, tag }: Sample,
): Promise<Finding[]> {
  const { name, credentials } = settings;
  const report = about("manifest", name);
  const url = new URL(settings.url);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v2/${repository}/manifests/${tag}`;
  try {
    // A HEAD, which registries that limit pulls do not count.
    const answer = await roundTrip(settings, transport, {
      kind: "manifest",
      permit: "metadata",
      method: "HEAD",
      url,
      repository,
      headers: { accept: MANIFEST_ACCEPT },
    });
    await discard(answer.body);
    const { status, headers } = answer;
    const shown = `${repository}:${tag}: ${status}`;
    if (status === 200) {
      const as = credentials && credentialFinding(transport, name, credentials);
      return [
        report("ok", shown),
        ...(as ? [as] : []),
        ...budget(name, headers, Boolean(credentials)),
      ];
    }
    if (status === 429)
      return [
        report("problem", `${shown}: the rate limit is used up`, limitAdvice(Boolean(credentials))),
      ];
    if (status !== 401 && status !== 403) {
      return [
        report(
          "problem",
          shown,
          `is there such an image? Name another: --image ${name}/org/app:tag`,
        ),
      ];
    }
    return [
      credentials
        ? refusedCredentials(name, userOf(credentials), status)
        : report(
            "problem",
            `${shown}: it is private or does not exist`,
            `set auth for ${name}, or name another image: --image ${name}/org/app:tag`,
          ),
    ];
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    // The token endpoint is asked first, and refuses before the registry does.
    if (error.detail.kind === "upstream-denied" && credentials) {
      return [refusedCredentials(name, userOf(credentials), error.detail.status)];
    }
    return [report("problem", error.message, adviceFor(error, settings))];
  }
}

/** What is public comes without credentials where they are refused: that it came says nothing of them. */
function credentialFinding(
  transport: RegistryTransport,
  name: string,
  credentials: CredentialSource,
): Finding {
  if (transport.keyring.isRefused(name)) return refusedCredentials(name, userOf(credentials), 401);
  return about("credentials", name)("ok", `taken, as ${userOf(credentials)}`);
}

function userOf(credentials: CredentialSource): string {
  return "helper" in credentials
    ? `what docker-credential-${credentials.helper} gives`
    : credentials.username;
}

function refusedCredentials(name: string, username: string, status: number): Finding {
  return about("credentials", name)(
    "problem",
    `refused for ${username} (${status})`,
    "see auth: a password may have expired, or may not read this image",
  );
}

/** Docker Hub's headers; their absence means that there is no limit. */
function budget(name: string, headers: Headers, isKnown: boolean): Finding[] {
  const [remaining] = (headers.get("ratelimit-remaining") ?? "").split(";");
  if (!remaining) return [];
  const [limit = "?", window] = (headers.get("ratelimit-limit") ?? "").split(";");
  const hours = Number(window?.replace("w=", "")) / 3_600;
  const found = `${remaining} of ${limit} pulls left${Number.isFinite(hours) ? ` in ${hours} h` : ""}`;
  const report = about("rate limit", name);
  return [
    Number(remaining) < FEW_PULLS
      ? report("problem", found, limitAdvice(isKnown))
      : report("ok", found),
  ];
}

function limitAdvice(isKnown: boolean): string {
  return isKnown
    ? "wait, or use an account with a higher limit; what is cached is served meanwhile"
    : "set auth: with an account the limit is higher, and other machines behind this address do not count";
}

function adviceFor({ detail }: Fault, { name, url }: UpstreamSettings): string {
  switch (detail.kind) {
    case "address-refused":
      return `if it is your own, say so: upstreams.${name}.allowPrivate: true`;
    case "upstream-unreachable":
    case "upstream-timeout":
      return `from here: curl -v ${url.origin}/v2/. A firewall, a proxy that is needed, or its certificate`;
    case "upstream-denied":
      return `see upstreams.${name}.auth`;
    default:
      return `from here: curl -v ${url.origin}/v2/`;
  }
}
