// What is drawn behind and below the lines: limits of an item, and where values were bad or old.
import type uPlot from "uplot";

export interface Limits {
  scale: string;
  low: number | null;
  high: number | null;
  lowLow: number | null;
  highHigh: number | null;
}

export interface Backdrop {
  limits: Limits | null;
  /** Per item: spans without good values. */
  bad: [number, number][][];
  colors: { warn: string; alarm: string; bad: string };
}

const STRIP = 4; // height of a mark of bad values, CSS pixels

export function drawBackdrop(chart: uPlot, { limits, bad, colors }: Backdrop): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  // an axis that was just chosen is not there before the plot is made again
  if (limits && chart.scales[limits.scale]) drawLimits(chart, limits, colors);
  const height = STRIP * devicePixelRatio;
  ctx.fillStyle = colors.bad;
  bad.forEach((spans, index) => {
    const top = bbox.top + bbox.height - height * (index + 1);
    for (const [from, to] of spans) {
      const left = chart.valToPos(from, "x", true);
      const width = Math.max(2 * devicePixelRatio, chart.valToPos(to, "x", true) - left);
      for (let x = left; x < left + width; x += 2 * height)
        ctx.fillRect(x, top, Math.min(height, left + width - x), height - devicePixelRatio);
      if (left > bbox.left + bbox.width) break;
    }
  });
  ctx.restore();
}

function drawLimits(chart: uPlot, limits: Limits, colors: Backdrop["colors"]): void {
  const { ctx, bbox } = chart;
  const line = (value: number | null, color: string, dash: number[]): void => {
    if (value === null) return;
    const y = chart.valToPos(value, limits.scale, true);
    ctx.strokeStyle = color;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  };
  const shade = (value: number | null, upwards: boolean, color: string): void => {
    if (value === null) return;
    const y = chart.valToPos(value, limits.scale, true);
    ctx.globalAlpha = 0.12;
    ctx.fillStyle = color;
    if (upwards) ctx.fillRect(bbox.left, bbox.top, bbox.width, Math.max(0, y - bbox.top));
    else ctx.fillRect(bbox.left, y, bbox.width, Math.max(0, bbox.top + bbox.height - y));
    ctx.globalAlpha = 1;
  };
  shade(limits.high ?? limits.highHigh, true, colors.warn);
  shade(limits.low ?? limits.lowLow, false, colors.warn);
  line(limits.high, colors.warn, [6, 4]);
  line(limits.low, colors.warn, [6, 4]);
  line(limits.highHigh, colors.alarm, [2, 3]);
  line(limits.lowLow, colors.alarm, [2, 3]);
  ctx.setLineDash([]);
}
