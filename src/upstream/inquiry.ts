import type { UpstreamSettings } from "../config/settings.ts";
import { Fault } from "../oci/fault.ts";
import { bareMediaType } from "../oci/media-types.ts";
import type { RepositoryName } from "../oci/names.ts";
import { discard, readSmall } from "./body.ts";
import type { Answer } from "./dial.ts";
import { exchange, type Question } from "./exchange.ts";
import type { Health } from "./health.ts";
import { type Asked, refusal } from "./refusal.ts";
import type { Roads } from "./roads.ts";

/** For a body that is read into memory, from its headers to its end. In milliseconds. */
const SMALL_BODY_DEADLINE = 30_000;

/** Questions to one registry whose answers can be used: anything else is a Fault, and its health knows. */
export class Inquiry {
  readonly #settings: UpstreamSettings;
  readonly #roads: Roads;
  readonly #health: Health;

  constructor(settings: UpstreamSettings, roads: Roads, health: Health) {
    this.#settings = settings;
    this.#roads = roads;
    this.#health = health;
  }

  /** @returns an answer of status 200 or 206 */
  async ask(asked: Omit<Asked, "upstream">, question: Question): Promise<Answer> {
    return this.#watched(async () => {
      const answer = await exchange(this.#settings, this.#roads, question);
      const { status, headers } = answer;
      if (status !== 200 && status !== 206) {
        await discard(answer.body);
        throw refusal(status, headers, { upstream: this.#settings.name, ...asked });
      }
      if (bareMediaType(headers.get("content-type")) !== "text/html") return answer;
      // A portal's or a proxy's page: it comes with 200 and is never what was asked for.
      await answer.body?.cancel();
      throw this.untrue(`a web page in place of ${asked.what} ${asked.name}`);
    });
  }

  /** Reads the whole of an answer that is no part of something. */
  async read(answer: Answer, what: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    if (answer.status !== 200) {
      await answer.body?.cancel();
      throw this.untrue(`a part of ${what} where the whole was asked for`);
    }
    const upstream = this.#settings.name;
    return this.#watched(() =>
      readSmall(answer.body, { upstream, what, limit, deadline: SMALL_BODY_DEADLINE }),
    );
  }

  /** Below the upstream's address; the name was checked, so nothing in it needs escaping. */
  url(repository: RepositoryName, rest: string): URL {
    const url = new URL(this.#settings.url);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/v2/${repository}/${rest}`;
    return url;
  }

  untrue(reason: string): Fault {
    return new Fault({ kind: "upstream-untrue", upstream: this.#settings.name, reason });
  }

  async #watched<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#health.ok();
      return result;
    } catch (error) {
      if (error instanceof Fault) this.#health.failed(error);
      throw error;
    }
  }
}
