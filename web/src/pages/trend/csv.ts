// What is drawn as a CSV file: a line for every sample, RFC 4180. Pure.
import type { Place } from "./samples";

const cell = (text: string): string => {
  const safe = /^[=+\-@]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text; // no formula in a spreadsheet
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export function csvOf(series: readonly { id: string; places: readonly Place[] }[], from: number, to: number): string {
  const lines = ["device_id,term_id,item_id,time,value,min,max,quality,samples"];
  for (const { id, places } of series)
    for (const place of places) {
      if (place.x < from || place.x > to) continue;
      const quality = place.quality === "good" ? "good" : place.quality.join(" ");
      const value = place.count > 1 ? place.y : place.value;
      const numbers = [value, place.low, place.high].map((one) => (one === null ? "" : cell(String(one))));
      lines.push([...id.split(":"), place.time, ...numbers, quality, place.count].join(","));
    }
  return `${lines.join("\r\n")}\r\n`;
}
