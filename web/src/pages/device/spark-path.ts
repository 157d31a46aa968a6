// The line of a sparkline. Pure.
import type { Sample } from "../../live/values";
import { soundness } from "../../ui/format";

/** The path of an SVG through the samples, the newest at the right edge; bad and missing values leave gaps. */
export function sparkPath(samples: readonly Sample[], width: number, height: number): string {
  const values = samples.map(({ value, quality }) => {
    const number = typeof value === "boolean" ? Number(value) : value;
    return typeof number === "number" && soundness(quality) !== "bad" ? number : null;
  });
  const numbers = values.filter((value) => value !== null);
  if (numbers.length < 2) return "";
  const low = Math.min(...numbers);
  const span = Math.max(...numbers) - low;
  const first = Date.parse(samples[0]?.time ?? "");
  const length = Date.parse(samples.at(-1)?.time ?? "") - first;
  const steps = samples.some(({ value }) => typeof value === "boolean");
  let path = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const x = (length > 0 ? ((Date.parse(samples[index]?.time ?? "") - first) / length) * width : width).toFixed(1);
    const y = (span > 0 ? height - ((value - low) / span) * height : height / 2).toFixed(1);
    path += !pen ? `M${x} ${y}` : steps ? `H${x}V${y}` : `L${x} ${y}`;
    pen = true;
  });
  return path;
}
