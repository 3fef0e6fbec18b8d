import { render as renderToString } from "preact-render-to-string";
import { App } from "./whole/app.tsx";
import { scriptAsset, styleAsset } from "./assets.ts";
import { DATA_ID, type PageData, ROOT_ID, titleOf } from "./view.ts";

/** A whole document, complete without scripts. */
export function renderPage(data: PageData): string {
  // No text of the data can end the element that holds it.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  const document = (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${titleOf(data.view)} – Entrepot`}</title>
        <link rel="icon" href="/assets/icon.svg" />
        <link rel="stylesheet" href={styleAsset.path} />
        <script type="module" src={scriptAsset.path} />
      </head>
      <body>
        <div id={ROOT_ID}>
          <App data={data} />
        </div>
        <script id={DATA_ID} type="application/json" dangerouslySetInnerHTML={{ __html: json }} />
      </body>
    </html>
  );
  return `<!doctype html>${renderToString(document)}`;
}
