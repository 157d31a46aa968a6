// The alarm of each point that matters most now.
import { computed } from "@preact/signals";
import type { Alarm } from "../../api/types";
import { byUrgency } from "../../state/alarms";
import { alarms, pointId } from "../../state/plant";
import { deservesAttention } from "./point-list";

/** Point (`device:term:item`) -> its most urgent alarm, active or unacknowledged. */
export const alarmByPoint = computed(() => {
  const found = new Map<string, Alarm>();
  for (const alarm of alarms.value.values()) {
    if (!deservesAttention(alarm)) continue;
    const id = pointId(alarm);
    const other = found.get(id);
    if (!other || byUrgency(alarm, other) < 0) found.set(id, alarm);
  }
  return found;
});
