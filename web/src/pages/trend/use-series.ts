// The samples of all items of the trend: read when the span changes, continued by live values.
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../../api/client";
import { sessions, subscribe } from "../../live/socket";
import { hasArchive } from "../../state/session";
import { serverNow } from "../../state/time";
import { load, type Span } from "./load";
import { insert, placeOfSample, type Place } from "./samples";
import type { View } from "./view";

/** Live samples of all items after which everything is read again, in buckets. */
const MOST_LIVE = 6000;
const SETTLE = 150; // milliseconds without a further zoom before the archive is asked
const FRAME = 250; // milliseconds between two pictures of a moving window
const BUCKETS = 1200;

export interface AllSeries {
  /** One list for each item. */
  places: readonly (readonly Place[])[];
  span: Span;
  /** Until when it is known that nothing newer came, epoch seconds; 0 before the first reading. */
  until: number;
  reading: boolean;
  problem: string;
  /** Why the archive could not be read, for some item. */
  noArchive: string;
  reload: () => void;
}

function spanOf(view: View): Span {
  const now = serverNow() / 1000;
  return view.live ? { from: now - view.live, to: now } : { from: view.from, to: view.to };
}

export function useSeries(view: View, width: number): AllSeries {
  const key = JSON.stringify([view.items.map((item) => item.id), view.live, view.from, view.to]);
  const lists = useRef(new Map<string, Place[]>());
  const live = useRef(0);
  const [, setFrame] = useState(0);
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState({ reading: false, problem: "", noArchive: "" });
  const read = useRef({ key: "", at: 0 });
  const session = sessions.value; // after a break the gap is read
  const archive = hasArchive.value;

  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      setState((before) => ({ ...before, reading: true }));
      void readAll(controller.signal);
    }, SETTLE);
    const readAll = async (signal: AbortSignal): Promise<void> => {
      const buckets = archive ? Math.max(100, Math.min(BUCKETS, width)) : null;
      try {
        const span = spanOf(view);
        const at = serverNow() / 1000;
        const found = await Promise.all(view.items.map(({ id }) => load(id, span, buckets, signal)));
        found.forEach(({ places }, index) => {
          const id = view.items[index]?.id ?? "";
          const newest = places.at(-1)?.x ?? 0;
          const after = (lists.current.get(id) ?? []).filter((place) => place.x > newest && place.x <= span.to + 60);
          lists.current.set(id, view.live ? [...places, ...after] : places); // live ones that came meanwhile
        });
        live.current = 0;
        read.current = { key, at };
        const noArchive = found.map((one) => one.noArchive).find(Boolean) ?? "";
        setState({ reading: false, problem: "", noArchive });
      } catch (error) {
        if (signal.aborted) return;
        setState({ reading: false, problem: error instanceof Problem ? error.message : String(error), noArchive: "" });
      }
    };
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, turn, session, archive, Math.round(width / 200)]);

  const ids = view.items.map((item) => item.id).join(",");
  useEffect(() => {
    if (!ids || !view.live) return undefined;
    return subscribe({ ids: ids.split(","), rate: FRAME, topics: ["values"] }, ({ c = [] }) => {
      for (const [id, time, value, quality] of c) {
        let places = lists.current.get(id);
        if (!places) lists.current.set(id, (places = []));
        if (insert(places, placeOfSample({ time, value, quality }))) live.current++;
      }
      if (live.current > MOST_LIVE) {
        live.current = 0;
        setTurn((before) => before + 1);
      }
    });
  }, [ids, view.live > 0]);

  useEffect(() => {
    if (!view.live) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") setFrame((before) => before + 1);
    }, FRAME);
    return () => clearInterval(timer);
  }, [view.live]);

  const span = spanOf(view);
  const places = view.items.map(({ id }) => {
    const all = lists.current.get(id) ?? [];
    if (view.live) forget(all, span.from);
    return all;
  });
  const until = view.live ? span.to : Math.min(span.to, read.current.key === key ? read.current.at : 0);
  return { ...state, places, span, until, reload: () => setTurn((before) => before + 1) };
}

/** Drop what left the window, but the last sample before it: its line still comes in from the left. */
function forget(places: Place[], from: number): void {
  let gone = 0;
  while (gone + 1 < places.length && (places[gone + 1] as Place).x < from) gone++;
  if (gone > 100) places.splice(0, gone);
}
