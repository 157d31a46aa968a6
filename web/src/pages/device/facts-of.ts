// What the status of a device says in short, whatever its protocol. Pure.
import type { DeviceStatus } from "../../api/types";

const object = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

/** Milliseconds; null when the protocol has not measured it. Modbus: smoothed; IEC 104: of the last test frame. */
export function roundTrip({ protocol }: DeviceStatus): number | null {
  const smoothed = protocol?.["round_trip_smoothed_ms"] ?? protocol?.["round_trip_ms"];
  if (typeof smoothed === "number") return smoothed;
  const seconds = object(protocol?.["link"])["round_trip"];
  return typeof seconds === "number" ? seconds * 1000 : null;
}

/** Connections after the first; null when no manager reports. */
export const reconnects = ({ counters }: DeviceStatus): number | null =>
  counters ? Math.max(0, (counters["connects"] ?? 0) - 1) : null;

/** Values that were read and are gone. */
export const lostValues = ({ accounting }: DeviceStatus): number | null =>
  accounting ? accounting.rejected + accounting.dropped : null;

/** Addresses that send and are not configured, IEC 104. */
export function unconfigured({ protocol }: DeviceStatus): number {
  const count = object(protocol?.["values"])["discovered"];
  return typeof count === "number" ? count : 0;
}

// Counters that count something going wrong. A driver may have others; all of them are among the details.
const ERRORS =
  /^(timeouts|garbage|stale_transaction|recalled|unsupported|missed_polls|internal_errors|protocol_errors|unknown_types|unexpected_asdus|refused_values|(exception|bad|failed|link)_.+|.+_(errors|timeouts)|command_(?!answers_|deactivations$|terminated$|confirmed$).+)$/;

/** Errors by kind, the most frequent first. */
export function errorKinds({ counters = {} }: DeviceStatus): [kind: string, count: number][] {
  return Object.entries(counters)
    .filter(([kind, count]) => count > 0 && ERRORS.test(kind))
    .sort(([a, many], [b, more]) => more - many || a.localeCompare(b));
}
