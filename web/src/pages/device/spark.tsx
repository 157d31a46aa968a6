// The last values of a point as a small line. It is drawn once a second, however often values come.
import { recentOf } from "../../live/values";
import { now } from "../../state/time";
import { sparkPath } from "./spark-path";

const WIDTH = 96; // pixels
const HEIGHT = 20;

export function Sparkline({ id }: { id: string }) {
  void now.value; // draws again every second
  const path = sparkPath(recentOf(id), WIDTH, HEIGHT);
  return (
    <svg class="device-spark" width={WIDTH} height={HEIGHT + 4} viewBox={`0 -2 ${WIDTH} ${HEIGHT + 4}`} aria-hidden="true">
      {path && <path d={path} fill="none" />}
    </svg>
  );
}
