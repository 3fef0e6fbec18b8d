import { z } from "zod";
import { type Answer, askRegistry } from "../access/verdicts/registry-question.ts";
import {
  accessWarnings,
  isOpenOnPurpose,
  isOpenToNetwork,
  upstreamAccess,
} from "../access/upstream-access.ts";
import { accessMode, hasMode } from "../config/access/access-settings.ts";
import { adminEndpoint } from "../config/addresses/admin-endpoint.ts";
import type { Settings, UpstreamSettings } from "../config/settings.ts";
import type { Digest } from "../oci/digest.ts";
import { Fault } from "../oci/fault.ts";
import { parseImageReference } from "../oci/image-reference.ts";
import type { RepositoryName } from "../oci/names.ts";
import { Registry } from "../upstream/registry.ts";
import type { RegistryTransport } from "../upstream/registry-transport.ts";
import { type Finding, reporter } from "./finding.ts";
import { ping } from "./ping.ts";

const TIMEOUT_MS = 10_000;
/** A registry is asked for so many repositories at most, those that were used last. */
const MAX_ASKED = 50;

const imagesSchema = z.object({
  items: z.array(z.object({ image: z.string(), digest: z.string() })),
});

const CREDENTIALS = {
  nothing: "its own credentials are sent for nothing",
  public: "its own credentials are sent for public images",
  all: "its own credentials are sent for all images",
  others: "its own credentials are sent for repositories that are not access: upstream",
  "others-and-public":
    "its own credentials are sent for public images, and for repositories that are not access: upstream",
} as const;

/** Who may pull from each upstream, and where that may not be meant. */
export function accessFindings(
  settings: Pick<Settings, "upstreams" | "listen" | "tls">,
): Finding[] {
  return [...settings.upstreams.values()].flatMap((upstream) => {
    const report = reporter("access", upstream.name);
    const { mode, entries, credentialsFor } = upstreamAccess(upstream);
    const which = mode === "mixed" ? `mixed, by ${entries} of its entries` : mode;
    const found = credentialsFor ? `${which}; ${CREDENTIALS[credentialsFor]}` : which;
    const warnings = accessWarnings({
      ...settings,
      upstreams: new Map([[upstream.name, upstream]]),
    });
    const notes = warnings.map((warning) =>
      report("note", warning.slice(upstream.name.length + 2)),
    );
    return [report("ok", found)].concat(notes);
  });
}

/** What an upstream shows to nobody without credentials, and this cache to everybody; and the reverse. */
export async function exposureFindings(
  upstream: UpstreamSettings,
  settings: Settings,
  transport: RegistryTransport,
): Promise<Finding[]> {
  return [
    ...(await publicRegistryFindings(upstream, transport)),
    ...(await openRepositoryFindings(upstream, settings, transport)),
  ];
}

/** Where a registry asks for nothing, nobody is asked for anything here. */
async function publicRegistryFindings(
  upstream: UpstreamSettings,
  transport: RegistryTransport,
): Promise<Finding[]> {
  if (!hasMode(upstream.access, "upstream")) return [];
  const response = await ping(upstream, transport, "/v2/");
  if (response instanceof Fault || response.status !== 200) return [];
  const found = "the registry asks for no credentials, so with access: upstream everybody may pull";
  const advice = "nothing, if all of it is public; else use access: clients";
  return [reporter("access", upstream.name)("note", found, advice)];
}

async function openRepositoryFindings(
  upstream: UpstreamSettings,
  settings: Settings,
  transport: RegistryTransport,
): Promise<Finding[]> {
  if (!isOpenToNetwork(upstream, settings)) return [];
  const images = await storedImages(upstream, settings);
  const { credentials: _, ...anonymous } = upstream;
  const registry = new Registry(anonymous, transport).asClient(undefined, { skipsMirrors: true });
  const hidden: string[] = [];
  for (const [repository, reference] of images) {
    // oxlint-disable-next-line no-await-in-loop -- one at a time: a registry is not to be pressed for this
    if ((await answerFor(registry, repository, reference)) === "refused") hidden.push(repository);
  }
  if (hidden.length === 0) return [];
  const [first] = hidden;
  const what =
    hidden.length === 1
      ? `1 stored repository (${first}) is`
      : `${hidden.length} stored repositories (such as ${first}) are`;
  const found = `${what} given by the registry with credentials only, and by this cache to everybody`;
  const report = reporter("access", upstream.name);
  if (isOpenOnPurpose(upstream)) return [report("note", found)];
  const advice = `set access: upstream or clients for upstreams.${upstream.name}, or deny what not everybody may have; access: open says that it is meant`;
  return [report("problem", found, advice)];
}

/** `undefined` if the registry does not say. */
async function answerFor(
  registry: Registry,
  repository: RepositoryName,
  reference: Digest,
): Promise<Answer | undefined> {
  try {
    return await askRegistry(registry, repository, { kind: "manifest", reference });
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/** An image of each repository that the running cache gives to everybody; none if no cache runs. */
async function storedImages(
  { name, access }: UpstreamSettings,
  settings: Settings,
): Promise<ReadonlyMap<RepositoryName, Digest>> {
  const { url, headers, tls } = adminEndpoint(settings);
  const query = new URLSearchParams({ pattern: `${name}/**`, sort: "used", limit: "500" });
  const images = new Map<RepositoryName, Digest>();
  let answer: unknown;
  try {
    const response = await fetch(`${url}/api/v1/images?${query}`, {
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      redirect: "manual",
      ...(tls && { tls }),
    });
    answer = await response.json();
  } catch {
    return images;
  }
  for (const { image, digest } of imagesSchema.safeParse(answer).data?.items ?? []) {
    const parsed = parseImageReference(`${image}@${digest}`);
    if (parsed?.digest === undefined || parsed.upstream !== name) continue;
    if (accessMode(access, parsed.repository) !== "open" || images.size >= MAX_ASKED) continue;
    images.set(parsed.repository, parsed.digest);
  }
  return images;
}
