// What matches a search, the best first. Pure.
import type { Device, Point } from "../api/types";
import { href } from "../routes";

export interface Hit {
  kind: "device" | "point" | "page";
  title: string;
  detail: string;
  href: string;
}

const MOST = 50;

/** Every word of the text must occur; what begins with the text comes first. */
export function findIn(
  text: string,
  pages: readonly Hit[],
  devices: ReadonlyMap<string, Device>,
  points: ReadonlyMap<string, Point>,
): Hit[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length) return [...pages];
  const found: { rank: number; hit: Hit }[] = [];
  const look = (hit: Hit, within: string): void => {
    const where = within.toLowerCase();
    if (!parts.every((part) => where.includes(part))) return;
    const first = parts[0] ?? "";
    found.push({ rank: where.startsWith(first) ? 0 : 1, hit });
  };
  for (const page of pages) look(page, page.title);
  for (const device of devices.values())
    look(
      { kind: "device", title: device.name || device.id, detail: device.id, href: href("device", [device.id]) },
      `${device.id} ${device.name} ${device.protocol}`,
    );
  for (const point of points.values()) {
    const id = `${point.device_id}:${point.term_id}:${point.item_id}`;
    look(
      { kind: "point", title: point.name || point.item_id, detail: id, href: href("device", [point.device_id], { find: id }) },
      `${id} ${point.name}`,
    );
  }
  return found
    .sort((a, b) => a.rank - b.rank)
    .slice(0, MOST)
    .map(({ hit }) => hit);
}
