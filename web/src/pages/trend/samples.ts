// Samples of one item on a time line: from the archive's buckets, from recent samples, from live values. Pure.
import type { Json, Quality } from "../../api/types";
import { soundness } from "../../ui/format";

/** A span of time of GET /api/v2/history?buckets=N. */
export interface Bucket {
  time: string;
  min: number | null;
  max: number | null;
  mean: number | null;
  count: number;
  bad: number;
  last: Json;
  last_time: string;
  quality: Quality;
}

export interface Raw {
  time: string;
  value: Json;
  quality: Quality;
}

/** One place on the line. `y` is null where there is no good number: the line is broken there. */
export interface Place {
  /** Epoch seconds. */
  x: number;
  y: number | null;
  low: number | null;
  high: number | null;
  /** Of the newest sample behind it. */
  value: Json;
  quality: Quality;
  time: string;
  /** Whether bad samples are among those behind it. */
  bad: boolean;
  /** How many samples it stands for. */
  count: number;
}

/** Epoch seconds of a time on the wire; microseconds are kept. */
export function secondsOf(time: string): number {
  const fraction = /\.(\d+)Z$/.exec(time)?.[1] ?? "";
  return Math.floor(Date.parse(time) / 1000) + (fraction ? Number(`0.${fraction}`) : 0);
}

/** A value as a number to draw; null for texts. */
export function numberOf(value: Json): number | null {
  if (typeof value === "number") return value;
  return typeof value === "boolean" ? Number(value) : null;
}

export function placeOfSample({ time, value, quality }: Raw): Place {
  const good = soundness(quality) === "good";
  const y = good ? numberOf(value) : null;
  return { x: secondsOf(time), y, low: y, high: y, value, quality, time, bad: !good, count: 1 };
}

/** What is drawn from a place on while nothing newer comes: its newest value, unless that is bad. */
export const held = ({ value, quality }: Place): number | null => (soundness(quality) === "good" ? numberOf(value) : null);

/** A bucket of one sample is that sample; others stand at their beginning, with mean and both extremes. */
export function placeOfBucket(bucket: Bucket): Place {
  const { last: value, last_time: time, quality, count, bad } = bucket;
  if (count + bad === 1) return placeOfSample({ time, value, quality });
  const last = soundness(quality) === "good" ? numberOf(value) : null;
  const y = bucket.mean ?? last;
  return {
    x: secondsOf(bucket.time),
    y,
    low: bucket.min ?? y,
    high: bucket.max ?? y,
    value,
    quality,
    time,
    bad: bad > 0,
    count: count + bad,
  };
}

/** Older places, then newer ones; where they overlap the newer list is taken, because it has every sample. */
export function joined(older: readonly Place[], newer: readonly Place[]): Place[] {
  const first = newer[0];
  if (!first) return [...older];
  const kept = older.filter((place) => secondsOf(place.time) < first.x);
  return [...kept, ...newer];
}

/** Put a sample at its place in time, in the list itself; a sample that is there already changes nothing. */
export function insert(places: Place[], place: Place): boolean {
  let at = places.length;
  while (at > 0 && (places[at - 1] as Place).x > place.x) at--;
  const before = places[at - 1];
  if (before && before.x === place.x && before.value === place.value) return false;
  places.splice(at, 0, place);
  return true;
}

/** Index of the last place at or before `x`; -1 when there is none. */
export function indexAt(places: readonly Place[], x: number): number {
  let low = 0;
  let high = places.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((places[middle] as Place).x <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Spans of time in which there is no good value: from a bad sample to the next one. */
export function badSpans(places: readonly Place[], end: number): [from: number, to: number][] {
  const found: [number, number][] = [];
  places.forEach((place, index) => {
    if (!place.bad) return;
    const to = places[index + 1]?.x ?? end;
    const previous = found.at(-1);
    if (previous && previous[1] === place.x) previous[1] = to;
    else found.push([place.x, to]);
  });
  return found;
}
