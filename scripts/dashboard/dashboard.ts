import { HOLDS } from "./holds.ts";
import { layOut } from "./panel.ts";
import { CLUSTER, GLANCE, MACHINE } from "./operation.ts";
import { REGISTRIES, STORE, TRAFFIC } from "./traffic.ts";

/** The dashboard for Grafana, as its importer reads it: deploy/grafana/entrepot.json. */
export function dashboard(): object {
  return {
    uid: "entrepot",
    title: "Entrepot",
    description: "What a pull-through cache saves, serves, downloads and stores.",
    tags: ["entrepot", "registry", "cache"],
    schemaVersion: 41,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "1m",
    time: { from: "now-24h", to: "now" },
    timezone: "browser",
    weekStart: "",
    fiscalYearStartMonth: 0,
    liveNow: false,
    links: [],
    annotations: { list: [] },
    timepicker: {},
    templating: {
      list: [
        {
          name: "datasource",
          label: "Data source",
          type: "datasource",
          query: "prometheus",
          regex: "",
          hide: 0,
          refresh: 1,
          multi: false,
          includeAll: false,
          current: {},
          options: [],
        },
        variable("job", "Job", "label_values(entrepot_build_info, job)"),
        variable("instance", "Cache", 'label_values(entrepot_build_info{job=~"$job"}, instance)'),
        variable(
          "upstream",
          "Registry",
          'label_values(entrepot_upstream_circuit_open{job=~"$job", instance=~"$instance"}, upstream)',
        ),
      ],
    },
    panels: layOut([GLANCE, TRAFFIC, REGISTRIES, STORE, HOLDS, MACHINE, CLUSTER]),
  };
}

/** Chosen from the values of a label: one, several or all. */
function variable(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: "query",
    datasource: { type: "prometheus", uid: "${datasource}" },
    query: { query, refId: "StandardVariableQuery" },
    definition: query,
    regex: "",
    hide: 0,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { selected: true, text: ["All"], value: ["$__all"] },
    options: [],
  };
}
