// The newest sample of every point that something on the page shows, one signal each.
import { batch, signal, type Signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Json, Quality } from "../api/types";
import type { Batch } from "./messages";
import { subscribe } from "./socket";

export interface Sample {
  time: string;
  value: Json;
  quality: Quality;
}

/** Samples kept per point for sparklines. */
export const RECENT = 60;

const latest = new Map<string, Signal<Sample | null>>();
const recent = new Map<string, Sample[]>();

/** The signal of a point, `device:term:item`; null while there is no value. */
export function latestOf(id: string): Signal<Sample | null> {
  let found = latest.get(id);
  if (!found) {
    found = signal<Sample | null>(null);
    latest.set(id, found);
  }
  return found;
}

/** The last samples that came while the page was open, oldest first. Do not change it. */
export const recentOf = (id: string): readonly Sample[] => recent.get(id) ?? [];

function take({ c, gone }: Batch): void {
  batch(() => {
    for (const [id, time, value, quality] of c ?? []) {
      const sample: Sample = { time, value, quality };
      latestOf(id).value = sample;
      let samples = recent.get(id);
      if (!samples) recent.set(id, (samples = []));
      if (samples.at(-1)?.time !== time) samples.push(sample);
      if (samples.length > RECENT) samples.splice(0, samples.length - RECENT);
    }
    for (const id of gone ?? []) {
      latest.get(id)?.peek();
      if (latest.has(id)) latestOf(id).value = null;
      recent.delete(id);
    }
  });
}

/** Keep these points' values coming while something needs them: `watch({ ids: ["d:t:i"] })`. */
export function watch(choice: { globs?: string[]; ids?: string[] }, rate = 250): () => void {
  return subscribe({ ...choice, rate, topics: ["values"] }, take);
}

/** The same for a component; `globs` of points, as `device:*`. */
export function useGlobs(globs: string[], rate = 250): void {
  const key = globs.join(" ");
  useEffect(() => (key ? watch({ globs: key.split(" ") }, rate) : undefined), [key, rate]);
}

export function useIds(ids: string[], rate = 250): void {
  const key = ids.join(" ");
  useEffect(() => (key ? watch({ ids: key.split(" ") }, rate) : undefined), [key, rate]);
}
