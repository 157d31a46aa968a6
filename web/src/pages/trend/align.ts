// Several items on one time axis, as uPlot wants them: null is a gap, undefined is "nothing said here". Pure.
import { held, type Place } from "./samples";

export type Column = (number | null | undefined)[];
/** Times, then mean, low and high of each item. */
export type Aligned = [number[], ...Column[]];

/**
 * @param ends where the line of an item that is not broken goes on to, because its value still holds; undefined: it
 * ends at its last sample.
 */
export function align(items: readonly (readonly Place[])[], ends: readonly (number | undefined)[] = []): Aligned {
  const times = merged(items, ends);
  const row = new Map(times.map((x, index) => [x, index]));
  const columns: Column[] = [];
  items.forEach((places, index) => {
    const mean: Column = new Array<undefined>(times.length).fill(undefined);
    const low = [...mean];
    const high = [...mean];
    const put = (at: number, place: Place): void => {
      mean[at] = place.y;
      low[at] = place.low;
      high[at] = place.high;
    };
    for (const place of places) put(row.get(place.x) as number, place);
    const last = places.at(-1);
    const end = ends[index];
    if (last && end !== undefined && end > last.x) {
      const y = held(last);
      put(row.get(end) as number, { ...last, y, low: y, high: y });
    }
    columns.push(mean, low, high);
  });
  return [times, ...columns];
}

function merged(items: readonly (readonly Place[])[], ends: readonly (number | undefined)[]): number[] {
  const all: number[] = [];
  for (const places of items) for (const place of places) all.push(place.x);
  for (const end of ends) if (end !== undefined) all.push(end);
  all.sort((a, b) => a - b);
  return all.filter((x, index) => index === 0 || x !== all[index - 1]);
}
