// What a `datetime-local` field holds <-> ISO 8601 in UTC. Pure.
import type { Zone } from "../state/time";

const two = (number: number): string => String(number).padStart(2, "0");

/** `2026-11-21T14:03:22` in the zone; "" for what is no time. */
export function fieldOfMoment(iso: string, zone: Zone): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "";
  if (zone === "utc") return time.toISOString().slice(0, 19);
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day}T${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

export function momentOfField(text: string, zone: Zone): string {
  const time = new Date(zone === "utc" && text ? `${text}Z` : text);
  return Number.isNaN(time.getTime()) ? "" : time.toISOString();
}
