/** The address of what is shown: `#/view?name=value`. So every view can be linked, and the browser goes back. */
import { signal } from "@preact/signals";

export const VIEWS = ["timeline", "connections", "invocations", "tables", "queues", "faults", "cost"] as const;
export type View = (typeof VIEWS)[number];
export type Parameters = Record<string, string>;

export interface Route {
  view: View;
  parameters: Parameters;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const view = VIEWS.find((each) => each === path) ?? "timeline";
  return { view, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

/** Return the address of a view. Parameters that are empty are left out. */
export function hrefOf(view: View, parameters: Parameters = {}): string {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "")).toString();
  return `#/${view}${query && `?${query}`}`;
}

export const route = signal<Route>({ view: "timeline", parameters: {} });

/** Follow the address bar from now on. */
export function startRouting(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  window.addEventListener("hashchange", read);
  read();
}

/** Show the same view with other parameters. With `replace` the browser does not go back to what was shown. */
export function change(parameters: Parameters, replace = false): void {
  const href = hrefOf(route.value.view, { ...route.value.parameters, ...parameters });
  if (replace) {
    history.replaceState(null, "", href);
    route.value = parseRoute(href);
  } else {
    location.hash = href;
  }
}
