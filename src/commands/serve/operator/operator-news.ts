import type { Settings } from "../../../config/settings.ts";
import { OperatorAudit, type OperatorAuditOptions } from "./operator-audit.ts";
import { OperatorEvents } from "./operator-events.ts";
import { Principals } from "./principals.ts";

/** What operators are told without asking: events, and who pulled what. */
export class OperatorNews implements AsyncDisposable {
  readonly events: OperatorEvents;
  readonly audit: OperatorAudit;
  readonly principals: Principals;

  constructor(settings: Settings, options: OperatorAuditOptions) {
    this.events = new OperatorEvents(settings.dataDirectory, options.log, options.metrics);
    this.audit = new OperatorAudit(settings, options);
    this.principals = new Principals(settings.dataDirectory, options.log);
  }

  /** Takes up settings, at the start and when they change. */
  configure(settings: Settings): Promise<void> {
    this.audit.configure(settings);
    this.principals.configure(settings);
    return this.events.configure(settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.events[Symbol.asyncDispose](), this.audit[Symbol.asyncDispose]()]);
  }
}
