// The time: of the server (the clock of this device may be wrong), shown local or in UTC.
import { signal } from "@preact/signals";
import { keep, kept } from "./kept";
import { language } from "../i18n/i18n";

let offset = 0;

/** Server time in milliseconds since 1970, renewed every second. */
export const now = signal(Date.now());
export type Zone = "local" | "utc";
export const zone = signal<Zone>(kept("zone", ["local", "utc"], "local"));

/** Take the server's clock; small differences are the way of the message. */
export function setServerTime(text: string): void {
  const difference = Date.parse(text) - Date.now();
  offset = Math.abs(difference) < 2000 ? 0 : difference;
  now.value = Date.now() + offset;
}

export const serverNow = (): number => Date.now() + offset;

export function setZone(next: Zone): void {
  zone.value = next;
  keep("zone", next);
}

/** Counts how often the clock of this device was set, or the device was asleep. */
export const clockJumps = signal(0);
const STEP = 2000; // milliseconds that are no way of the timers

let difference = Date.now() - performance.now();

setInterval(() => {
  const next = Date.now() - performance.now();
  if (Math.abs(next - difference) > STEP) clockJumps.value++;
  difference = next;
  now.value = serverNow();
}, 1000);

const formats = new Map<string, Intl.DateTimeFormat>();

function format(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language.value}/${zone.value}/${name}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(language.value === "zh" ? "zh-CN" : "en-GB", {
      ...options,
      hourCycle: "h23",
      ...(zone.value === "utc" ? { timeZone: "UTC" } : {}),
    });
    formats.set(key, found);
  }
  return found;
}

const DAY = { year: "numeric", month: "2-digit", day: "2-digit" } as const;
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" } as const;

/** `14:03:22`. Takes an ISO text or milliseconds. */
export const clockText = (time: string | number): string => format("clock", CLOCK).format(new Date(time));
/** `21/11/2026, 14:03:22`. */
export const timeText = (time: string | number): string =>
  format("time", { ...DAY, ...CLOCK }).format(new Date(time));
/** With milliseconds, for events. */
export const exactText = (time: string | number): string =>
  format("exact", { ...DAY, ...CLOCK, fractionalSecondDigits: 3 }).format(new Date(time));

/** How long ago: `0 s`, `59 s`, `12 min`, `3 h`, `5 d`; never negative. */
export function ageText(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
