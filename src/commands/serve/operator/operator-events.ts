import { join } from "node:path";
import type { Node } from "../../../api/nodes.ts";
import type { TagChange, TagChanges } from "../../../cache/lookup/tag-records.ts";
import type { Settings } from "../../../config/settings.ts";
import type { TellEvent } from "../../../events/event.ts";
import type { KnownNodes } from "../../../history/nodes/known-nodes.ts";
import { Webhooks } from "../../../events/webhooks.ts";
import type { Readiness, ReadinessFell } from "../../../readiness/readiness.ts";
import type { Operation } from "../../../server/api/operation.ts";
import { webhookOperations } from "../../../server/api/operations/webhooks.ts";
import type { Log } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { HostStatus } from "../../../upstream/hosts.ts";
import { UpstreamWatch, type WatchedUpstream } from "./upstream-watch.ts";

/** Of what operators are told. */
interface Watched {
  readonly upstreams: {
    readonly all: ReadonlyMap<
      string,
      { readonly registry: { readonly status: readonly HostStatus[] } }
    >;
  };
  readonly nodes: Pick<KnownNodes, "onUnwired">;
  readonly readiness: Pick<Readiness, "onFell">;
}

/** What operators are told of by webhooks: puts together who tells and who is told. */
export class OperatorEvents implements AsyncDisposable {
  readonly #webhooks: Webhooks;
  #watch: UpstreamWatch | undefined;

  constructor(dataDirectory: string, log: Log, metrics: Metrics) {
    this.#webhooks = new Webhooks({ folder: join(dataDirectory, "events"), log });
    this.#measure(metrics);
  }

  get tell(): TellEvent {
    return this.#webhooks.tell;
  }

  get operations(): readonly Operation[] {
    return webhookOperations(this.#webhooks);
  }

  /** Where tags point. Nobody looks at what was before where nobody is told. */
  get tagChanges(): TagChanges {
    const webhooks = this.#webhooks;
    return {
      get isWatched() {
        return webhooks.all.length > 0;
      },
      changed: (change) => this.tell(eventOf(change)),
    };
  }

  readonly #readinessFell = ({ upstream, before, ratio, images }: ReadinessFell): void => {
    const percent = Math.floor(ratio * 100);
    const message = `only ${percent} % of the images that are wanted of ${upstream} would start without it`;
    const data = { message, upstream, ratio, previousRatio: before, missing: images };
    this.tell({ type: "readiness.fell", subject: upstream, data });
  };

  readonly #nodeUnwired = ({ address, name, wired }: Node): void => {
    const why = wired?.how === undefined ? "" : `: ${wired.how}`;
    const message = `${name ?? address} does not pull through this cache any more${why}`;
    const data = { message, address, ...(name === undefined ? {} : { name }) };
    this.tell({ type: "node.unwired", subject: name ?? address, data });
  };

  /** Opens the queues of the receivers. */
  configure({ events }: Pick<Settings, "events">): Promise<void> {
    return this.#webhooks.configure(events);
  }

  /** Tells from now on what becomes of them. */
  watch({ upstreams, nodes, readiness }: Watched): void {
    nodes.onUnwired(this.#nodeUnwired);
    readiness.onFell(this.#readinessFell);
    this.#watch = new UpstreamWatch({
      tell: this.tell,
      read: () =>
        [...upstreams.all].map(([name, { registry }]): WatchedUpstream => ({
          name,
          addresses: registry.status,
        })),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await this.#webhooks[Symbol.asyncDispose]();
  }

  #measure(metrics: Metrics): void {
    const webhooks = this.#webhooks;
    metrics.counters(
      "entrepot_events_total",
      "Events of which receivers of webhooks are told, by type.",
      ["type"],
      () => [...webhooks.told].map(([type, value]) => ({ labels: [type], value })),
    );
    metrics.counters(
      "entrepot_webhook_events_total",
      "Attempts to send events, by receiver and result: delivered, failed, or dropped for good.",
      ["webhook", "result"],
      () =>
        webhooks.all.flatMap(({ settings: { name }, state }) =>
          (["delivered", "failed", "dropped"] as const).map((result) => ({
            labels: [name, result],
            value: state[result],
          })),
        ),
    );
    metrics.gauges(
      "entrepot_webhook_queued_events",
      "Events that a receiver has not got yet.",
      ["webhook"],
      () =>
        webhooks.all.map(({ settings: { name }, pending }) => ({ labels: [name], value: pending })),
    );
  }
}

function eventOf({ repo, tag, digest, previous }: TagChange): Parameters<TellEvent>[0] {
  const { upstream, repository } = repo;
  const subject = `${upstream}/${repository}:${tag}`;
  const image = { upstream, repository, tag, digest };
  if (previous === undefined) {
    const message = `${subject} was fetched for the first time`;
    return { type: "image.first-seen", subject, data: { message, ...image } };
  }
  const message = `${subject} points to another image now`;
  return { type: "tag.moved", subject, data: { message, ...image, previousDigest: previous } };
}
