import { hydrate } from "preact";
import { LiveApp } from "./live-app.tsx";
import { DATA_ID, type PageData, ROOT_ID } from "../view.ts";

const root = document.getElementById(ROOT_ID);
const data = document.getElementById(DATA_ID)?.textContent;
if (root && data) {
  // The server has written it, of the same version.
  hydrate(<LiveApp data={JSON.parse(data) as PageData} />, root);
}
