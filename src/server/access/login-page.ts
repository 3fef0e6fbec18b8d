/** Why nobody was logged in. */
export type LoginProblem = "missing" | "wrong" | "too-many" | "not-from-here";

interface ProblemText {
  readonly status: number;
  readonly text: string;
}

const PROBLEMS: Readonly<Record<LoginProblem, ProblemText>> = {
  missing: { status: 400, text: "Enter a token." },
  wrong: {
    status: 401,
    text: "This token is not accepted. It may have been replaced: see adminTokenFile or readTokenFile of the cache.",
  },
  "too-many": {
    status: 429,
    text: "Too many wrong tokens were sent from your address. Try again in a few seconds.",
  },
  "not-from-here": {
    status: 403,
    text: "Your browser did not say that the form of this page was sent. Try again here.",
  },
};

/** Where the page has its style. */
export const LOGIN_STYLE_PATH = "/login.css";

/** The page that asks for a token: without scripts, and without anything of another host. */
export function loginPage({
  to,
  problem,
}: {
  /** Where to go afterwards. */
  readonly to: string;
  readonly problem?: LoginProblem;
}): Response {
  const { status, text } = problem ? PROBLEMS[problem] : { status: 200, text: "" };
  const alert = text === "" ? "" : `<p class="problem" id="problem" role="alert">${text}</p>`;
  const described = text === "" ? "hint" : "problem hint";
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${text === "" ? "" : "Not logged in – "}Entrepot</title>
<link rel="stylesheet" href="${LOGIN_STYLE_PATH}">
</head>
<body>
<main>
<h1>Entrepot</h1>
<form method="post" action="/login">
${alert}
<input type="hidden" name="to" value="${escapeHtml(to)}">
<input name="username" value="entrepot" autocomplete="username" hidden>
<label>Token
<input id="token" name="token" type="password" autocomplete="current-password" spellcheck="false" required autofocus aria-describedby="${described}"${text === "" ? "" : ' aria-invalid="true"'}>
</label>
<button>Log in</button>
<p id="hint">The admin token, or one that only allows to read. You stay logged in for 12 hours.</p>
</form>
</main>
</body>
</html>
`;
  return new Response(html, {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy":
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      // Without a referrer, browsers would send the form with the origin null.
      "referrer-policy": "same-origin",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
      ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
      ...(status === 429 ? { "retry-after": "5" } : {}),
    },
  });
}

/** In the colours of the page. */
const STYLE = `:root {
  color-scheme: light dark;
  --panel: light-dark(#ffffff, #1a1d1c);
  --edge: light-dark(#e0e0da, #2c302e);
  --text: light-dark(#1b1d1c, #e8eae8);
  --soft: light-dark(#5c605e, #a0a6a3);
  --accent: light-dark(#0d655f, #5cc4b8);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f4f4f1, #121413); color: var(--text); }
main { box-sizing: border-box; width: min(25rem, 100% - 1.5rem); padding: 1.5rem; background: var(--panel); border: 1px solid var(--edge); border-radius: 8px; }
h1 { margin: 0 0 1rem; font-size: 1.25rem; font-weight: 600; }
form { display: grid; gap: 0.75rem; }
label { display: grid; gap: 0.25rem; font-weight: 600; }
input, button { box-sizing: border-box; width: 100%; padding: 0.5rem 0.75rem; font: inherit; border-radius: 6px; border: 1px solid; }
input { border-color: light-dark(#858a87, #7d8480); background: var(--panel); color: var(--text); }
button { border-color: transparent; background: var(--accent); color: light-dark(#ffffff, #10201e); font-weight: 600; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.problem { margin: 0; padding: 0.5rem 0.75rem; border-radius: 6px; background: light-dark(#fbe9e7, #361a18); color: light-dark(#b3261e, #ff8a80); }
#hint { margin: 0; color: var(--soft); }
`;

export function loginStyle(): Response {
  const headers = { "content-type": "text/css; charset=utf-8", "cache-control": "max-age=3600" };
  return new Response(STYLE, { headers });
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
