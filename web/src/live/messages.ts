// What comes over the live connection, see docs/howto/live.rst.
import type { Alarm, Json, Link, LogEvent, Quality } from "../api/types";

/** `[device:term:item, time, value, quality]` */
export type Row = [id: string, time: string, value: Json, quality: Quality];
export type Topic = "values" | "devices" | "alarms" | "events";

export interface DeviceRow {
  device_id: string;
  enabled?: boolean;
  link?: Link;
  deleted?: boolean;
}

/** A snapshot or a batch of one subscription. */
export interface Batch {
  op?: "snapshot";
  id: string;
  seq: number;
  epoch?: string;
  resumed?: boolean;
  points?: number;
  more?: boolean;
  /** Whether a snapshot begins with it; added here. */
  first?: boolean;
  c?: Row[];
  devices?: DeviceRow[];
  alarms?: Alarm[];
  events?: LogEvent[];
  gone?: string[];
}

/** What is asked for. Give `globs` or `ids`. `rate` in milliseconds: 0, or 100 to 5000. */
export interface Wanted {
  globs?: string[];
  ids?: string[];
  rate?: number;
  topics: Topic[];
}
