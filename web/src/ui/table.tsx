// A table of any length: only the rows in view exist. Rows read signals themselves, so a value that changes renders
// its own row only.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const OVERSCAN = 6;

interface VirtualTableProps<T> {
  label: string;
  rows: readonly T[];
  rowKey: (row: T) => string;
  /** Cells of a row: as many as there are columns, each `<div role="cell">`. */
  renderRow: (row: T) => ComponentChildren;
  /** `<div role="columnheader">` each. */
  head: ComponentChildren;
  /** As `grid-template-columns`, for instance `2fr 120px 80px`. */
  columns: string;
  /** Pixels. */
  rowHeight?: number;
  /** As a CSS height. */
  height?: string;
  rowClass?: (row: T) => string;
  /** The key of a row that is scrolled into view, once it is there and whenever this changes. */
  show?: string;
  /** As a CSS length: a table of many columns is wider than its place and scrolls sideways within it. */
  minWidth?: string;
}

export function VirtualTable<T>(props: VirtualTableProps<T>): JSX.Element {
  const { rows, rowHeight = 34, height = "60dvh" } = props;
  const body = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ first: 0, count: 40 });
  const measure = (): void => {
    const element = body.current;
    if (!element) return;
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - OVERSCAN);
    const count = Math.ceil(element.clientHeight / rowHeight) + 2 * OVERSCAN;
    setView((before) => (before.first === first && before.count === count ? before : { first, count }));
  };
  useEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    if (body.current) observer.observe(body.current);
    return () => observer.disconnect();
  }, [rowHeight]);
  const shownAt = props.show ? rows.findIndex((row) => props.rowKey(row) === props.show) : -1;
  useEffect(() => {
    const element = body.current;
    if (!element || shownAt < 0) return;
    element.scrollTop = (shownAt + 0.5) * rowHeight - element.clientHeight / 2;
    const middle = element.getBoundingClientRect().top + (shownAt + 1) * rowHeight - element.scrollTop;
    if (middle < rowHeight || middle > innerHeight - rowHeight) scrollBy(0, middle - innerHeight / 2);
  }, [props.show, shownAt >= 0, rowHeight]);
  const first = Math.min(view.first, Math.max(0, rows.length - view.count));
  const shown = rows.slice(first, first + view.count);
  return (
    <div
      class="virtual"
      ref={body}
      style={{ height }}
      onScroll={measure}
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      tabIndex={0}
    >
      <div role="rowgroup" class="virtual-top" style={{ minWidth: props.minWidth }}>
        <div class="virtual-head" role="row" aria-rowindex={1} style={{ gridTemplateColumns: props.columns }}>
          {props.head}
        </div>
      </div>
      <div role="rowgroup" style={{ height: `${rows.length * rowHeight}px`, position: "relative", minWidth: props.minWidth }}>
        {shown.map((row, index) => (
          <div
            key={props.rowKey(row)}
            class={`virtual-row ${props.rowClass?.(row) ?? ""}`}
            role="row"
            aria-rowindex={first + index + 2}
            style={{
              gridTemplateColumns: props.columns,
              top: `${(first + index) * rowHeight}px`,
              height: `${rowHeight}px`,
            }}
          >
            {props.renderRow(row)}
          </div>
        ))}
      </div>
    </div>
  );
}
