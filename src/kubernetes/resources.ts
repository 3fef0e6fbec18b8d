import { isObject } from "../oci/json-object.ts";
import { platformName } from "../oci/platform.ts";

type Json = Readonly<Record<string, unknown>>;

/** What an object of a cluster says of images. */
export interface ObjectImages {
  /** Names of images, as they are written there. */
  readonly images: readonly string[];
  /** Images by digest, as the runtimes of nodes tell them. */
  readonly running: readonly string[];
  /** Whether it runs now, or would if it were scaled up or its time came. */
  readonly isRunning: boolean;
  /** The node that it runs on. */
  readonly node?: string;
  /** The addresses of that node. */
  readonly hosts?: readonly string[];
  /** `os` and `architecture` that its nodes must have. */
  readonly os?: string;
  readonly architecture?: string;
}

/** A kind of objects that have images, and how they are read. */
export interface Resource {
  /** `Deployment`. */
  readonly kind: string;
  /** `/apis/apps/v1`. */
  readonly group: string;
  /** `deployments`. */
  readonly plural: string;
  /** What an object says of images; `undefined` if it will run no more, or if others say it. */
  readonly imagesOf: (object: Json) => ObjectImages | undefined;
}

const APPS = "/apis/apps/v1";
const BATCH = "/apis/batch/v1";

/** All that runs images in a cluster by itself: what other operators make, they make of these. */
export const RESOURCES: readonly Resource[] = [
  { kind: "Pod", group: "/api/v1", plural: "pods", imagesOf: imagesOfPod },
  { kind: "Deployment", group: APPS, plural: "deployments", imagesOf: imagesOfScaled },
  { kind: "StatefulSet", group: APPS, plural: "statefulsets", imagesOf: imagesOfScaled },
  { kind: "DaemonSet", group: APPS, plural: "daemonsets", imagesOf: imagesOfDaemonSet },
  { kind: "ReplicaSet", group: APPS, plural: "replicasets", imagesOf: imagesOfReplicaSet },
  { kind: "Job", group: BATCH, plural: "jobs", imagesOf: imagesOfJob },
  { kind: "CronJob", group: BATCH, plural: "cronjobs", imagesOf: imagesOfCronJob },
];

/** Lists of containers in a pod's `spec`, with those of their states in its `status`. */
const CONTAINERS = [
  ["initContainers", "initContainerStatuses"],
  ["containers", "containerStatuses"],
  ["ephemeralContainers", "ephemeralContainerStatuses"],
] as const;

/** Labels of nodes by which pods select a platform. */
const OS_LABEL = "kubernetes.io/os";
const ARCHITECTURE_LABEL = "kubernetes.io/arch";

function imagesOfPod(pod: Json): ObjectImages | undefined {
  const [spec, status] = [at(pod, "spec"), at(pod, "status")];
  // What has ended is not started again: a new pod is.
  const phase = status?.["phase"];
  if (!spec || phase === "Succeeded" || phase === "Failed") return undefined;
  const running = CONTAINERS.flatMap(([, states]) =>
    list(status?.[states]).flatMap(({ imageID }) => runningImage(imageID)),
  );
  const node = spec["nodeName"];
  return {
    ...ofPodSpec(spec),
    running,
    isRunning: true,
    ...(typeof node === "string" && node !== "" ? { node } : {}),
    ...hostsOf(status),
  };
}

/** A node may have an address of each family. */
function hostsOf(status: Json | undefined): Pick<ObjectImages, "hosts"> {
  const all = [status?.["hostIP"], ...list(status?.["hostIPs"]).map(({ ip }) => ip)];
  const hosts = all.filter((ip): ip is string => typeof ip === "string" && ip !== "");
  return hosts.length === 0 ? {} : { hosts: [...new Set(hosts)] };
}

/** Runtimes write `docker.io/library/nginx@sha256:…`, Docker's with `docker-pullable://` before it. */
function runningImage(imageId: unknown): string[] {
  if (typeof imageId !== "string") return [];
  const name = imageId.replace(/^[a-z-]+:\/\//, "");
  // Some write the digest of the configuration alone, which is no manifest.
  return /^[^@]+@/.test(name) && !name.startsWith("sha256:") ? [name] : [];
}

function imagesOfScaled(workload: Json): ObjectImages | undefined {
  const replicas = at(workload, "spec")?.["replicas"];
  return ofTemplate(at(workload, "spec", "template"), replicas !== 0);
}

function imagesOfDaemonSet(workload: Json): ObjectImages | undefined {
  return ofTemplate(at(workload, "spec", "template"), true);
}

/** Those of a Deployment are its revisions: the Deployment says which template is in use. */
function imagesOfReplicaSet(workload: Json): ObjectImages | undefined {
  return isControlled(workload) ? undefined : imagesOfScaled(workload);
}

/** A CronJob says it for its own. */
function imagesOfJob(job: Json): ObjectImages | undefined {
  const hasEnded = list(at(job, "status")?.["conditions"]).some(
    ({ type, status }) => (type === "Complete" || type === "Failed") && status === "True",
  );
  if (hasEnded || isControlled(job)) return undefined;
  return ofTemplate(at(job, "spec", "template"), at(job, "spec")?.["suspend"] !== true);
}

function imagesOfCronJob(job: Json): ObjectImages | undefined {
  const isRunning = at(job, "spec")?.["suspend"] !== true;
  return ofTemplate(at(job, "spec", "jobTemplate", "spec", "template"), isRunning);
}

function ofTemplate(template: Json | undefined, isRunning: boolean): ObjectImages | undefined {
  const spec = template && at(template, "spec");
  return spec && { ...ofPodSpec(spec), running: [], isRunning };
}

function ofPodSpec(spec: Json): Pick<ObjectImages, "images" | "os" | "architecture"> {
  const containers = CONTAINERS.flatMap(([key]) => list(spec[key]).map(({ image }) => image));
  // Volumes of images (KEP-4639).
  const volumes = list(spec["volumes"]).map((volume) => at(volume, "image")?.["reference"]);
  const images = [...containers, ...volumes].filter(
    (name): name is string => typeof name === "string" && name !== "",
  );
  const selector = at(spec, "nodeSelector");
  const [os, architecture] = [selector?.[OS_LABEL], selector?.[ARCHITECTURE_LABEL]];
  return {
    images: [...new Set(images)],
    ...(typeof os === "string" ? { os } : {}),
    ...(typeof architecture === "string" ? { architecture } : {}),
  };
}

function isControlled(object: Json): boolean {
  return list(at(object, "metadata")?.["ownerReferences"]).some(
    ({ controller }) => controller === true,
  );
}

/** `linux/arm64`, as a node says it of itself. */
export function platformOfNode(node: Json): string | undefined {
  const info = at(node, "status", "nodeInfo");
  return platformName({ os: info?.["operatingSystem"], architecture: info?.["architecture"] });
}

/** The object at a path of keys. */
function at(object: Json, ...keys: readonly string[]): Json | undefined {
  let value: unknown = object;
  for (const key of keys) value = isObject(value) ? value[key] : undefined;
  return isObject(value) ? value : undefined;
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
