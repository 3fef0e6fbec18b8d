import type { AdminAccess } from "./admin-access.ts";
import { type AdminGuard, isOwnOrigin, seeOther } from "./admin-guard.ts";
import { loginPage, type LoginProblem } from "./login-page.ts";
import { sessionCookie, sessionIds } from "./session-cookie.ts";

export interface LoginOptions {
  readonly guard: AdminGuard;
  readonly access: AdminAccess;
  /** Whether the port speaks TLS. */
  readonly isSecure: boolean;
}

/** In bytes: a token and a path, percent-encoded. */
const MAX_FORM = 32 * 1024;
const PAGE = "/";

/** Logs browsers in and out. The token is sent once; from then on, a cookie that no script can read. */
export class Login {
  readonly #options: LoginOptions;

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** `GET /login` */
  form(request: Request): Response {
    const { guard, access } = this.#options;
    const to = ownPath(request, new URL(request.url).searchParams.get("to"));
    const isOpen = !access.tokens.areNeeded || guard.sessionRight(request) !== undefined;
    return isOpen ? seeOther(to) : loginPage({ to });
  }

  /** `POST /login` */
  async begin(request: Request, client: string): Promise<Response> {
    const { guard, access, isSecure } = this.#options;
    const refusal = this.#refuse(request);
    if (refusal) return refusal;
    const fields = await formOf(request);
    const to = ownPath(request, fields?.get("to"));
    if (!access.tokens.areNeeded) return seeOther(to);
    const again = (problem: LoginProblem): Response => loginPage({ to, problem });
    const token = fields?.get("token")?.trim() ?? "";
    if (token === "") return again("missing");
    const checked = await guard.checkToken(token, client);
    if (checked instanceof Response) return again("too-many");
    if (!checked) return again("wrong");
    // Another session of this browser would go on without its cookie.
    this.#end(request);
    const id = access.sessions.open(checked.fingerprint);
    return seeOther(to, { "set-cookie": sessionCookie(request, isSecure, id) });
  }

  /** `POST /logout` */
  end(request: Request): Response {
    const refusal = this.#refuse(request);
    if (refusal) return refusal;
    this.#end(request);
    const cookie = sessionCookie(request, this.#options.isSecure);
    return seeOther("/login", { "set-cookie": cookie });
  }

  #end(request: Request): void {
    const { access, isSecure } = this.#options;
    for (const id of sessionIds(request, isSecure)) access.sessions.close(id);
  }

  /** Only the form of this port may log somebody in, or out. */
  #refuse(request: Request): Response | undefined {
    const refusal = this.#options.guard.refuseSender(request);
    if (refusal || isOwnOrigin(request)) return refusal;
    return loginPage({ to: PAGE, problem: "not-from-here" });
  }
}

/** Where to go after the login: never to another site. */
function ownPath(request: Request, to: string | null | undefined): string {
  const url = URL.parse(to ?? PAGE, request.url);
  if (!url || url.origin !== new URL(request.url).origin) return PAGE;
  // A path that begins with two slashes would be a host.
  return url.pathname.startsWith("//") ? PAGE : url.pathname + url.search;
}

/** The fields of a form; undefined if it is none, or too large. */
async function formOf({ headers, body }: Request): Promise<URLSearchParams | undefined> {
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(headers.get("content-type") ?? "")) {
    return undefined;
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.byteLength;
    if (length > MAX_FORM) return undefined;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}
