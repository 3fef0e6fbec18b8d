import { type ClaimedVolume, mountKey } from "../../config/foreign/cluster-needs.ts";
import type { ImportedConfig, ImportedSetting } from "../../config/foreign/imported-config.ts";
import { withUpstreamsLast, writeAnnotated } from "../../config/foreign/write-config.ts";
import { addQuantities, quantityBytes } from "../../config/parsing/kubernetes-quantities.ts";
import { quoteForShell } from "../../config/foreign/shell-word.ts";
import type { Path } from "../../config/parsing/yaml-source.ts";
import { type NeededSecret, referToSecrets, tlsCommand } from "./chart-secrets.ts";

/** Values of the chart, and what has to be done besides. */
export interface ChartValues {
  readonly text: string;
  /** One line each; what is indented is typed. */
  readonly steps: readonly string[];
}

/** The first port of a registry with a Service of its own. */
const FIRST_PORT = 5010;
const PORT_STEP = 10;
const TLS_SECRET = "entrepot-tls";

const OWN_ADDRESS =
  "nodes ask for a registry by its name, at one address for all: they are wired by the chart (nodes.enabled)";
const ONE_REPLICA =
  "one replica, since several work as one cache only with PostgreSQL and an object store: set replicaCount, cluster.database and cluster.store. While it is away, nodes pull from the registries";
const NO_TLS =
  "nodes reach this cache over plain HTTP, and Gardener's caches over HTTPS. For HTTPS, set service.clusterIP to a free address of the cluster, and tls.existingSecret to a Secret with a certificate for it, or certificate.enabled for one of cert-manager";
const NOT_WIRED =
  "the chart does not wire nodes to this cache, since no certificate has the addresses of all nodes: set nodes.cacheUrl to a name in this one that the resolver of nodes knows, or service.clusterIP to an address in it, and nodes.enabled";
const NO_DATA =
  "the cache in the cluster begins empty, and fetches what is asked for: the old data is not touched";

/** Writes an imported configuration as values of the chart deploy/chart/entrepot. */
export function writeChartValues(
  imported: ImportedConfig,
  command: string,
  file: string,
): ChartValues {
  const own: ImportedSetting[] = [];
  const persistence = oneVolume(imported, own);
  const tls = certificate(imported);
  dropAddresses(imported);
  const service = addressFamilies(imported, own);
  const extraObjects = services(imported, own);
  const secrets = [...referToSecrets(imported), ...(tls ? [tls] : [])];
  oneReplica(imported);
  const mounted = secrets.filter((secret) => secret !== tls);
  const value = {
    ...(persistence ? { persistence } : {}),
    ...(service ? { service } : {}),
    ...(tls ? { tls: { existingSecret: TLS_SECRET }, nodes: { enabled: false } } : {}),
    ...(mounted.length === 0
      ? {}
      : { secretMounts: Object.fromEntries(mounted.map(({ name }) => [mountKey(name), name])) }),
    config: withUpstreamsLast(imported.value),
    ...(extraObjects.length === 0 ? {} : { extraObjects }),
  };
  const below = imported.settings.map(({ at, from, note }) => ({
    at: ["config", ...at],
    from,
    note,
  }));
  const steps = stepsOf(secrets, file);
  return {
    text: writeAnnotated(imported, command, { value, settings: [...own, ...below], head: steps }),
    steps,
  };
}

/** All registries share one volume, in which each has the room that it had. */
function oneVolume(imported: ImportedConfig, own: ImportedSetting[]): object | undefined {
  const { volumes } = imported.needs;
  const [first] = volumes;
  if (!first) return undefined;
  const size = addQuantities(volumes.map((volume) => volume.size));
  const parts = volumes.map((volume) => `${volume.size} of ${volume.upstream}`).join(", ");
  const note = volumes.length === 1 ? undefined : `one volume for all: ${parts}`;
  own.push({ at: ["persistence", "size"], from: first.from, note });
  const storageClassName = oneClass(imported, own);
  return { size, ...(storageClassName === undefined ? {} : { storageClassName }) };
}

/** The storage class of the largest volume that names one. */
function oneClass(imported: ImportedConfig, own: ImportedSetting[]): string | undefined {
  const { volumes } = imported.needs;
  const named = volumes.filter(({ storageClass }) => storageClass !== undefined);
  const largest = named.reduce<ClaimedVolume | undefined>(
    (most, one) => (most && quantityBytes(most.size) >= quantityBytes(one.size) ? most : one),
    undefined,
  );
  const chosen = largest?.storageClass;
  if (!chosen) return undefined;
  own.push({ at: ["persistence", "storageClassName"], from: chosen.from, note: undefined });
  imported.dropWarnings(named.map(({ storageClass }) => storageClass?.from));
  for (const { storageClass } of named) {
    if (!storageClass || storageClass.name === chosen.name) continue;
    const reason = `there is one volume, and it has the storage class of ${largest.upstream}: ${chosen.name}`;
    imported.skip(storageClass.from, reason);
  }
  return chosen.name;
}

/** The chart decides where the cache listens, and nodes are wired to it. */
function dropAddresses(imported: ImportedConfig): void {
  const { value } = imported;
  const paths: Path[] = [["listen"], ["admin"], ["adminTokenFile"]];
  for (const [upstream, entry] of entriesOf(value["upstreams"])) {
    const at = ["upstreams", upstream];
    for (const key of ["port", "listen", "pathPrefix"]) paths.push([...at, key]);
    imported.drop([...at, "adopt"], NO_DATA);
    const { listen } = Object.fromEntries(entriesOf(entry));
    if (typeof listen === "string" && !listen.startsWith("0.0.0.0:")) {
      const from = imported.originOf([...at, "listen"]);
      const message = `${upstream} was to be reached at ${listen} only: now it is by all that reach a node`;
      if (from) imported.warn({ ...from }, message);
    }
  }
  for (const at of paths) {
    // Why it was chosen says nothing of an address that is gone.
    imported.dropWarnings([imported.originOf(at)]);
    imported.drop(at, OWN_ADDRESS);
  }
}

/** A Secret with the certificate that old registries had, if all had one. */
function certificate(imported: ImportedConfig): NeededSecret | undefined {
  const { tls } = imported.value;
  const { certificate: file, key } = Object.fromEntries(entriesOf(tls));
  if (typeof file === "string" && typeof key === "string") {
    const from = imported.originOf(["tls"]);
    imported.drop(["tls"], "");
    imported.dropWarnings([from]);
    if (from) imported.warn(from, NOT_WIRED, "clients");
    return {
      name: TLS_SECRET,
      keys: ["tls.crt", "tls.key"],
      command: tlsCommand(TLS_SECRET, file, key),
    };
  }
  const from = imported.needs.tls;
  if (from) {
    imported.dropWarnings([from]);
    imported.warn(from, NO_TLS, "clients");
  }
  return undefined;
}

/** A Service has IPv4 alone unless it says more. */
function addressFamilies(imported: ImportedConfig, own: ImportedSetting[]): object | undefined {
  const { ipFamilies } = imported.needs;
  if (!ipFamilies) return undefined;
  const { families, from } = ipFamilies;
  own.push({ at: ["service"], from, note: undefined });
  const ipFamilyPolicy = families.length > 1 ? "PreferDualStack" : "SingleStack";
  return { ipFamilyPolicy, ipFamilies: families };
}

/** A Service of the old name for each registry that had one, and a port that serves this registry alone. */
function services(imported: ImportedConfig, own: ImportedSetting[]): object[] {
  return imported.needs.serviceNames.map(({ upstream, suffix, from }, index) => {
    const port = FIRST_PORT + index * PORT_STEP;
    const name = `registry-${suffix}`;
    imported.dropWarnings([from]);
    imported.set(["upstreams", upstream, "port"], [port], from, `for the Service ${name}`);
    own.push({ at: ["extraObjects", index], from, note: undefined });
    return {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace: '{{ include "entrepot.namespace" . }}' },
      spec: {
        ports: [{ name: "registry", port: 5000, targetPort: port }],
        selector: {
          "app.kubernetes.io/name": '{{ include "entrepot.name" . }}',
          "app.kubernetes.io/instance": "{{ .Release.Name }}",
          "app.kubernetes.io/component": "cache",
        },
      },
    };
  });
}

/** Two registries that know nothing of each other need nothing; two replicas that work as one cache do. */
function oneReplica(imported: ImportedConfig): void {
  const { highAvailability } = imported.needs;
  imported.dropWarnings(highAvailability);
  for (const from of highAvailability) imported.skip(from, ONE_REPLICA);
}

function stepsOf(secrets: readonly NeededSecret[], file: string): string[] {
  const made = secrets.flatMap(({ command }) => (command === undefined ? [] : [`  ${command}`]));
  const copied = secrets.filter(({ command }) => command === undefined);
  const names = copied.map(({ name, keys }) => `${name} (${keys.join(", ")})`);
  return [
    ...(copied.length === 0
      ? []
      : [`These Secrets have to be in the namespace of the release: ${names.join("; ")}`]),
    ...(made.length === 0
      ? []
      : [
          "Make these Secrets in the namespace of the release, from files of yours:",
          "  kubectl create namespace entrepot",
          ...made,
        ]),
    "Then install it:",
    `  helm upgrade --install entrepot deploy/chart/entrepot --namespace entrepot --create-namespace --values ${quoteForShell(file)}`,
  ];
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
