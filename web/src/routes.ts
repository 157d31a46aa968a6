// Where we are: a hash route, `#/device/feeder1?abnormal=1` -> { page, rest, query }.
import { signal } from "@preact/signals";

export interface Route {
  /** First part of the path; "" is the overview. */
  page: string;
  /** Further parts, decoded. */
  rest: string[];
  query: URLSearchParams;
}

function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).map(decode);
  return { page: parts[0] ?? "", rest: parts.slice(1), query: new URLSearchParams(search) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a broken escape in an address that somebody typed
  }
}

/** The address of a page: `href("device", ["feeder1"], { abnormal: "1" })`. Empty query values are left out. */
export function href(page: string, rest: string[] = [], query: Record<string, string> = {}): string {
  const path = [page, ...rest].filter(Boolean).map(encodeURIComponent).join("/");
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  const text = search.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

export const route = signal<Route>(parseRoute(location.hash));

addEventListener("hashchange", () => {
  route.value = parseRoute(location.hash);
});

export function go(address: string): void {
  location.hash = address;
}

/** Change the query of the present page without a new entry in the browser's history. */
export function setQuery(query: Record<string, string>): void {
  const { page, rest } = route.peek();
  const address = href(page, rest, query);
  if (address === location.hash) return;
  history.replaceState(null, "", address);
  route.value = parseRoute(address);
}
