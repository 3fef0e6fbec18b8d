/** An error as Kubernetes answers with one: a `Status` object. */
export function statusObject(code: number, reason: string, message: string): object {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    code,
  };
}

export function failure(code: number, reason: string, message: string): Response {
  return Response.json(statusObject(code, reason, message), { status: code });
}

export function notFound(what: string): Response {
  return failure(404, "NotFound", `the server could not find the requested resource: ${what}`);
}
