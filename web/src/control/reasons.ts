// Why a point cannot be controlled now. Pure.
import type { Device, Point, Quality } from "../api/types";
import { soundness } from "../ui/format";

export type Reason =
  | "unknown" | "frozen" | "scope" | "virtual" | "readOnly" | "noAddress" | "disabled" | "link" | "stale";

/** Reasons that do not go away by themselves: there is nothing to fill in. */
const LASTING: readonly Reason[] = ["unknown", "scope", "virtual", "readOnly", "noAddress"];
export const isLasting = (reasons: readonly Reason[]): boolean => reasons.some((reason) => LASTING.includes(reason));

interface Situation {
  point: Point | undefined;
  device: Device | undefined;
  /** Of the present value; null while there is none, as of commands without a value of their own. */
  quality: Quality | null;
  /** Whether the live connection is lost. */
  frozen: boolean;
  mayOperate: boolean;
}

/** All reasons, the most fundamental first; none: it can be controlled. */
export function reasonsAgainst({ point, device, quality, frozen, mayOperate }: Situation): Reason[] {
  if (!point || !device) return ["unknown"];
  const reasons: Reason[] = [];
  if (!mayOperate) reasons.push("scope");
  if (point.protocol === "formula") reasons.push("virtual");
  else if (point.protocol_code === null) reasons.push("noAddress");
  else if (!point.writable) reasons.push("readOnly");
  if (frozen) reasons.push("frozen");
  if (!device.enabled) reasons.push("disabled");
  else if (device.link.state !== "connected" && point.protocol !== "formula") reasons.push("link");
  if (quality !== null && soundness(quality) === "stale") reasons.push("stale");
  return reasons;
}
