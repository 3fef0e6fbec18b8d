import { hydrate } from "preact";
import { TrafficDrawing } from "../history/traffic-chart.tsx";
import { drawTraffic } from "./draw-traffic.ts";
import { LiveApp } from "./live-app.tsx";
import { DATA_ID, type PageData, ROOT_ID } from "../view.ts";

const root = document.getElementById(ROOT_ID);
const data = document.getElementById(DATA_ID)?.textContent;
if (root && data) {
  // The server has written it, of the same version.
  const pageData = JSON.parse(data) as PageData;
  hydrate(
    <TrafficDrawing.Provider value={drawTraffic}>
      <LiveApp data={pageData} />
    </TrafficDrawing.Provider>,
    root,
  );
}
