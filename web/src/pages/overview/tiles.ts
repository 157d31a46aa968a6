// What the tile of a device says, and in which order tiles stand. Pure.
import type { Alarm, Device, DeviceOverview, Link } from "../../api/types";
import { isActive, isUnacknowledged, rankOf } from "../../state/alarms";

export interface Tile {
  id: string;
  name: string;
  protocol: string;
  description: string;
  enabled: boolean;
  link: Link;
  /** null while nobody has counted them. */
  points: number | null;
  /** Whether bad and stale values were counted yet. */
  counted: boolean;
  bad: number;
  stale: number;
  valuesPerSecond: number | null;
  active: number;
  unacknowledged: number;
  /** Of the unacknowledged alarms, or when there are none, of the active ones; "" without any. */
  priority: string;
  /** How much it needs attention; 0 is normal, below 0 is out of service. */
  rank: number;
}

const LOST = 100;
const UNACKNOWLEDGED = 80;
const ACTIVE = 60;
const BAD = 40;
const STALE = 20;
const OUT_OF_SERVICE = -1;

/** Whether values ought to come and cannot. */
export const isLost = (enabled: boolean, { state }: Link): boolean =>
  enabled && state !== "connected" && state !== "virtual" && state !== "disabled";

function worstOf(alarms: readonly Alarm[]): string {
  return alarms.reduce((worst, { priority }) => (worst && rankOf(worst) >= rankOf(priority) ? worst : priority), "");
}

/** `counts` are some seconds old at most, the others are those of now. */
export function tileOf(
  device: Device,
  counts: DeviceOverview | undefined,
  alarms: readonly Alarm[],
  points: number | null,
): Tile {
  const ringing = alarms.filter(isUnacknowledged);
  const active = alarms.filter(isActive);
  const priority = worstOf(ringing.length ? ringing : active);
  const bad = counts?.bad ?? 0;
  const stale = counts?.stale ?? 0;
  let rank = 0;
  if (isLost(device.enabled, device.link)) rank = LOST + (ringing.length ? 1 + rankOf(priority) : 0);
  else if (ringing.length) rank = UNACKNOWLEDGED + rankOf(priority);
  else if (active.length) rank = ACTIVE + rankOf(priority);
  else if (!device.enabled) rank = OUT_OF_SERVICE; // that its values are old is what somebody wanted
  else if (bad) rank = BAD;
  else if (stale) rank = STALE;
  return {
    id: device.id,
    name: device.name,
    protocol: device.protocol,
    description: device.description,
    enabled: device.enabled,
    link: device.link,
    points,
    counted: counts !== undefined,
    bad,
    stale,
    valuesPerSecond: counts?.values_per_second ?? null,
    active: active.length,
    unacknowledged: ringing.length,
    priority,
    rank,
  };
}

export interface Held {
  rank: number;
  /** When the device was last as bad as this, in milliseconds. */
  at: number;
}

/** Milliseconds that a device must be better before its tile moves down. */
export const PATIENCE = 10_000;

/** Ranks to sort by: what gets worse moves up at once; what gets better waits, so that tiles do not jump. */
export function hold(before: ReadonlyMap<string, Held>, tiles: readonly Tile[], now: number): Map<string, Held> {
  return new Map(
    tiles.map(({ id, rank }) => {
      const held = before.get(id);
      const stays = held && rank < held.rank && now - held.at < PATIENCE;
      return [id, stays ? held : { rank, at: now }];
    }),
  );
}

const names = new Intl.Collator("en", { numeric: true });

/** Worst first; of the same rank by name. */
export function inOrder(tiles: readonly Tile[], held: ReadonlyMap<string, Held>): Tile[] {
  const rank = (tile: Tile): number => held.get(tile.id)?.rank ?? tile.rank;
  return [...tiles].sort((a, b) => rank(b) - rank(a) || names.compare(a.name, b.name) || names.compare(a.id, b.id));
}

/** Those in which every word of the text occurs. */
export function matching(tiles: readonly Tile[], text: string, abnormal: boolean): Tile[] {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  return tiles.filter((tile) => {
    if (abnormal && tile.rank <= 0) return false;
    const within = `${tile.id} ${tile.name} ${tile.protocol} ${tile.description}`.toLowerCase();
    return parts.every((part) => within.includes(part));
  });
}
