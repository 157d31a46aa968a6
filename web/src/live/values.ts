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
const RECENT = 60;

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

interface Watch {
  /** Points that it has shown. */
  ids: Set<string>;
  /** Those of a snapshot that is on its way. */
  fresh: Set<string> | null;
}

const watches = new Set<Watch>();
/** Milliseconds for which a value that nobody asks for any more is kept: a page that follows may ask for it again. */
const FORGET = 1000;

function take(of: Watch, { first, resumed, more, c, gone }: Batch): void {
  batch(() => {
    if (first) of.fresh = resumed ? null : new Set();
    for (const [id, time, value, quality] of c ?? []) {
      const sample: Sample = { time, value, quality };
      latestOf(id).value = sample;
      of.ids.add(id);
      of.fresh?.add(id);
      let samples = recent.get(id);
      if (!samples) recent.set(id, (samples = []));
      if (samples.at(-1)?.time !== time) samples.push(sample);
      if (samples.length > RECENT) samples.splice(0, samples.length - RECENT);
    }
    for (const id of gone ?? []) lose(of, id);
    if (!of.fresh || more) return;
    for (const id of of.ids) if (!of.fresh.has(id)) lose(of, id); // a snapshot is everything there is
    of.fresh = null;
  });
}

function lose(of: Watch, id: string): void {
  of.ids.delete(id);
  const found = latest.get(id);
  if (found) found.value = null;
  recent.delete(id);
}

/** Nobody may take for the present value what was shown on another page, long ago. */
function forget({ ids }: Watch): void {
  batch(() => {
    for (const id of ids) {
      const found = latest.get(id);
      if (found && ![...watches].some((other) => other.ids.has(id))) found.value = null;
    }
  });
}

/** Keep these points' values coming while something needs them: `watch({ ids: ["d:t:i"] })`. */
export function watch(choice: { globs?: string[]; ids?: string[] }, rate = 250): () => void {
  const one: Watch = { ids: new Set(), fresh: null };
  watches.add(one);
  const end = subscribe({ ...choice, rate, topics: ["values"] }, (message) => take(one, message));
  return () => {
    end();
    watches.delete(one);
    setTimeout(() => forget(one), FORGET);
  };
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
