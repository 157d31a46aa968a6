// All pages. Each is a chunk of its own that is read when it is first shown.
import type { ComponentType } from "preact";
import type { Route } from "../routes";

export interface PageProps {
  route: Route;
}

export interface Page {
  /** First part of the address; "" is the overview. */
  name: string;
  inMenu: boolean;
  load: () => Promise<{ default: ComponentType<PageProps> }>;
}

export const PAGES: readonly Page[] = [
  { name: "", inMenu: true, load: () => import("./overview/page") },
  { name: "device", inMenu: false, load: () => import("./device/page") },
  { name: "trend", inMenu: true, load: () => import("./trend/page") },
  { name: "alarms", inMenu: true, load: () => import("./alarms/page") },
  { name: "model", inMenu: true, load: () => import("./model/page") },
  { name: "log", inMenu: true, load: () => import("./log/page") },
  { name: "api", inMenu: true, load: () => import("./api/page") },
];
