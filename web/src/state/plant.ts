// The model and its state as the whole page knows it: devices, points, alarms. Read once, kept up by live messages.
import { batch, computed, signal } from "@preact/signals";
import { get } from "../api/client";
import type { Alarm, Device, LogEvent, Point } from "../api/types";
import type { Batch } from "../live/messages";
import { subscribe } from "../live/socket";

/** Points asked for in one request. */
const PAGE = 5000;
const EVENTS = 200;

export const devices = signal<ReadonlyMap<string, Device>>(new Map());
export const points = signal<ReadonlyMap<string, Point>>(new Map());
/** Alarms that are not normal, by id. */
export const alarms = signal<ReadonlyMap<string, Alarm>>(new Map());
/** The last events, newest first. */
export const events = signal<readonly LogEvent[]>([]);
/** Whether the model was read; the devices are there a little earlier. */
export const loaded = signal(false);
/** Grows with every change of the model that was read. */
export const modelVersion = signal(0);

export const pointId = (point: Pick<Point, "device_id" | "term_id" | "item_id">): string =>
  `${point.device_id}:${point.term_id}:${point.item_id}`;

/** Alarms by device, for tiles and marks. */
export const alarmsByDevice = computed(() => {
  const found = new Map<string, Alarm[]>();
  for (const alarm of alarms.value.values()) {
    const list = found.get(alarm.device_id);
    if (list) list.push(alarm);
    else found.set(alarm.device_id, [alarm]);
  }
  return found;
});

/** Points of a device, by term and item. */
export const pointsByDevice = computed(() => {
  const found = new Map<string, Point[]>();
  for (const point of points.value.values()) {
    const list = found.get(point.device_id);
    if (list) list.push(point);
    else found.set(point.device_id, [point]);
  }
  return found;
});

async function readDevices(): Promise<Map<string, Device>> {
  const list = await get<Device[]>("/api/v1/devices?expand=true");
  const found = new Map(list.map((device) => [device.id, device]));
  if (!loaded.peek()) devices.value = found; // the overview need not wait for thousands of points
  return found;
}

async function readPoints(): Promise<Map<string, Point>> {
  const found = new Map<string, Point>();
  for (let offset = 0; ; offset += PAGE) {
    const some = await get<Point[]>(`/api/v2/points?limit=${PAGE}&offset=${offset}`);
    for (const point of some) found.set(pointId(point), point);
    if (some.length < PAGE) return found;
  }
}

let reading: Promise<void> | null = null;
let wanted = false;

/** Read devices and points again; calls that come meanwhile are served by one more reading. */
export function readModel(): Promise<void> {
  if (reading) {
    wanted = true;
    return reading;
  }
  reading = (async () => {
    try {
      do {
        wanted = false;
        const [list, all] = await Promise.all([readDevices(), readPoints()]);
        batch(() => {
          devices.value = list;
          points.value = all;
          loaded.value = true;
          modelVersion.value++;
        });
      } while (wanted);
    } finally {
      reading = null;
    }
  })();
  return reading;
}

function take(message: Batch): void {
  batch(() => {
    if (message.devices) takeDevices(message.devices);
    if (message.alarms || (message.op === "snapshot" && !message.resumed)) takeAlarms(message);
    if (message.events) takeEvents(message.events, message.op === "snapshot" && !message.resumed);
  });
}

function takeDevices(rows: NonNullable<Batch["devices"]>): void {
  const next = new Map(devices.value);
  let unknown = false;
  for (const row of rows) {
    const known = next.get(row.device_id);
    if (row.deleted) next.delete(row.device_id);
    else if (known)
      next.set(row.device_id, { ...known, enabled: row.enabled ?? known.enabled, link: row.link ?? known.link });
    else unknown = true;
  }
  devices.value = next;
  if (unknown && loaded.peek()) void readModel().catch(() => undefined); // the next change tries again
}

function takeAlarms({ first, resumed, alarms: rows = [] }: Batch): void {
  const next = first && !resumed ? new Map<string, Alarm>() : new Map(alarms.value);
  for (const alarm of rows) {
    if (alarm.state === "normal") next.delete(alarm.id);
    else next.set(alarm.id, alarm);
  }
  alarms.value = next;
}

function takeEvents(rows: LogEvent[], all: boolean): void {
  const known = new Set(all ? [] : events.value.map((event) => event.id));
  const fresh = rows.filter((event) => !known.has(event.id));
  const merged = all ? fresh : [...events.value, ...fresh];
  merged.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0));
  events.value = merged.slice(0, EVENTS);
  if (loaded.peek() && fresh.some((event) => event.kind === "model")) void readModel().catch(() => undefined);
}

/** Follow devices, alarms and events, for as long as the page is open. */
export function followPlant(): () => void {
  return subscribe({ globs: ["*"], rate: 250, topics: ["devices", "alarms", "events"] }, take);
}
