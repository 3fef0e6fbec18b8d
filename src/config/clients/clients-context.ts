import type { ProxyRule } from "../parsing/proxy.ts";
import type { FileContext } from "../upstreams/certificates.ts";
import type { ConfiguredUpstream } from "../upstreams/read-upstreams.ts";
import type { UpstreamContext } from "../upstreams/upstream-context.ts";

/** What `clients` of the configuration is read with. */
export interface ClientsContext extends FileContext, Pick<UpstreamContext, "location"> {
  readonly proxy?: ProxyRule | undefined;
  readonly upstreams: readonly ConfiguredUpstream[];
  /** Whether nodes reach the cache over TLS. */
  readonly hasTls: boolean;
}
