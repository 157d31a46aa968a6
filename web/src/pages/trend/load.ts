// Reads what a trend needs: the archive for the past, recent samples for what the archive does not have yet.
import { get, Problem, withQuery } from "../../api/client";
import { joined, placeOfBucket, placeOfSample, type Bucket, type Place, type Raw } from "./samples";

export interface Span {
  /** Epoch seconds. */
  from: number;
  to: number;
}

export interface Series {
  places: Place[];
  /** Why the archive could not be read; "" when it was, or was not asked. */
  noArchive: string;
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

export function historyPath(id: string, span: Span, buckets?: number): string {
  return path(id, { since: iso(span.from), until: iso(span.to), buckets });
}

function path(id: string, query: Record<string, string | number | undefined>): string {
  const [device_id, term_id, item_id] = id.split(":");
  return withQuery("/api/v2/history", { device_id, term_id, item_id, ...query });
}

async function archived(id: string, span: Span, buckets: number, signal: AbortSignal): Promise<Series> {
  try {
    // a value that was stored before the span and did not change since is not stored again in it
    const [before, list] = await Promise.all([
      get<Raw[]>(path(id, { until: iso(span.from), limit: 1 }), signal),
      get<Bucket[]>(historyPath(id, span, buckets), signal),
    ]);
    return { places: [...before.map(placeOfSample), ...list.map(placeOfBucket)], noArchive: "" };
  } catch (error) {
    if (error instanceof Problem && [404, 409, 501, 503].includes(error.status))
      return { places: [], noArchive: error.message };
    throw error;
  }
}

export function recentPath(id: string, span: Span): string {
  const [device, term, item] = id.split(":").map(encodeURIComponent);
  const datas = `/api/v2/devices/${device}/terms/${term}/items/${item}/datas`;
  return withQuery(datas, { since: iso(span.from), until: iso(span.to) });
}

async function recent(id: string, span: Span, signal: AbortSignal): Promise<Place[]> {
  const list = await get<Raw[]>(recentPath(id, span), signal);
  return list.map(placeOfSample).sort((a, b) => a.x - b.x);
}

/**
 * The samples of an item in a span.
 * @param buckets so many pieces at most, where the archive is asked; null: there is no archive to ask.
 */
export async function load(id: string, span: Span, buckets: number | null, signal: AbortSignal): Promise<Series> {
  const old = buckets === null ? { places: [], noArchive: "" } : archived(id, span, buckets, signal);
  const [{ places, noArchive }, fresh] = await Promise.all([old, recent(id, span, signal)]);
  return { places: joined(places, fresh), noArchive };
}
