// What the trend shows, as it stands in the address: an address can be sent to somebody else. Pure.

export const MOST_ITEMS = 8;
export const MOST_AXES = 4;
/** Lengths of the moving window, seconds. */
export const WINDOWS = [60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600] as const;
const DEFAULT_WINDOW = 900;

export interface Item {
  /** `device:term:item` */
  id: string;
  /** 0 to 3; null: by unit. */
  axis: number | null;
  /** Drawn in steps; null: by the kind of value. */
  step: boolean | null;
}

export interface View {
  items: Item[];
  /** A moving window of so many seconds; 0: the span below. */
  live: number;
  /** Epoch seconds. */
  from: number;
  to: number;
  /** Item whose limits are shown; "" for none. */
  limits: string;
}

export function parseView(query: URLSearchParams): View {
  const axes = (query.get("axes") ?? "").split(",");
  const steps = (query.get("steps") ?? "").split(",");
  const ids = [...new Set((query.get("items") ?? "").split(",").filter(isPoint))].slice(0, MOST_ITEMS);
  const items = ids.map((id, index) => ({
    id,
    axis: /^[0-3]$/.test(axes[index] ?? "") ? Number(axes[index]) : null,
    step: steps[index] === "1" ? true : steps[index] === "0" ? false : null,
  }));
  const from = Date.parse(query.get("from") ?? "") / 1000;
  const to = Date.parse(query.get("to") ?? "") / 1000;
  const span = Number.isFinite(from) && Number.isFinite(to) && from < to;
  const live = Number(query.get("live") ?? DEFAULT_WINDOW);
  const limits = query.get("limits") ?? "";
  return {
    items,
    live: span ? 0 : Number.isFinite(live) && live >= 10 ? Math.min(live, 31 * 86_400) : DEFAULT_WINDOW,
    from: span ? from : 0,
    to: span ? to : 0,
    limits: ids.includes(limits) ? limits : "",
  };
}

export function formatView(view: View): Record<string, string> {
  const each = <T>(some: (T | null)[], text: (one: T) => string): string =>
    some.some((one) => one !== null) ? some.map((one) => (one === null ? "" : text(one))).join(",") : "";
  return {
    items: view.items.map((item) => item.id).join(","),
    axes: each(view.items.map((item) => item.axis), String),
    steps: each(view.items.map((item) => item.step), (step) => (step ? "1" : "0")),
    live: view.live ? String(view.live) : "",
    from: view.live ? "" : new Date(view.from * 1000).toISOString(),
    to: view.live ? "" : new Date(view.to * 1000).toISOString(),
    limits: view.limits,
  };
}

function isPoint(text: string): boolean {
  return /^[\w.-]+:[\w.-]+:[\w.-]+$/.test(text);
}

/** Axis of each item: chosen, or one for each unit; when there are more than four units the rest share the last. */
export function assignAxes(items: readonly { axis: number | null; unit: string }[]): number[] {
  const units = new Map<string, number>();
  const taken = new Set(items.map((item) => item.axis).filter((axis) => axis !== null));
  return items.map(({ axis, unit }) => {
    if (axis !== null) return axis;
    const known = units.get(unit);
    if (known !== undefined) return known;
    const free = [0, 1, 2, 3].find((one) => !taken.has(one)) ?? MOST_AXES - 1;
    taken.add(free);
    units.set(unit, free);
    return free;
  });
}

/** Whether values of a kind are states: drawn in steps unless somebody wants it otherwise. */
export function isState(codeType: string | null): boolean {
  return codeType === "bool" || /^(M_SP|M_DP|M_ST|C_SC|C_DC|C_RC)_/.test(codeType ?? "");
}

/** A span scaled about a place in it: factor 0.5 shows half of the time. */
export function zoomed(from: number, to: number, about: number, factor: number): [number, number] {
  return [about - (about - from) * factor, about + (to - about) * factor];
}
