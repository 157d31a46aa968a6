// What is drawn as a CSV file: a line for every sample. Pure.
import { csvOf as tableOf, type Cell } from "../../ui/csv";
import type { Place } from "./samples";

const HEAD = ["device_id", "term_id", "item_id", "time", "value", "min", "max", "quality", "samples"];

export function csvOf(series: readonly { id: string; places: readonly Place[] }[], from: number, to: number): string {
  const rows: Cell[][] = [];
  for (const { id, places } of series)
    for (const place of places) {
      if (place.x < from || place.x > to) continue;
      const quality = place.quality === "good" ? "good" : place.quality.join(" ");
      const value = place.count > 1 ? place.y : place.value;
      rows.push([...id.split(":"), place.time, value, place.low, place.high, quality, place.count]);
    }
  return tableOf(HEAD, rows);
}
