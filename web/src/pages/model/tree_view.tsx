// The tree at the left: only the rows in view exist, so a thousand devices are no more than ten.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { go, href } from "../../routes";
import { useCoarse } from "../../ui/media";
import { branches, edits, model } from "./store";
import { rowId, rowsOf, type Tab, type TreeRow } from "./tree";
import { words } from "./words";

const t = translator(words);
const OVERSCAN = 8;

interface TreeProps {
  tab: Tab;
  search: string;
  /** Row of the object that is shown beside, "" for none. */
  current: string;
}

const addressOf = (row: Pick<TreeRow, "kind" | "key">): string => href("model", [row.kind, ...row.key]);

/** What must be folded out to see a row. */
function aboveOf(current: string): string[] {
  const [kind, first = "", second = ""] = current.split("/");
  const known = model.peek();
  const term = kind === "term_item" || kind === "term" ? known.terms.get(first) : undefined;
  const above = term ? [rowId("device", [String(term["device_id"])])] : [];
  return second ? [...above, rowId("term", [first])] : above;
}

export function Tree({ tab, search, current }: TreeProps) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState(0);
  const [view, setView] = useState({ first: 0, count: 40 });
  const body = useRef<HTMLDivElement>(null);
  const height = useCoarse() ? 44 : 32;
  const known = model.value;
  const below = branches.value;
  useEffect(() => {
    const above = aboveOf(current);
    if (above.length) setOpen((before) => new Set([...before, ...above]));
  }, [current, known.terms]);
  const rows = useMemo(() => rowsOf(tab, known, below, open, search), [tab, known, below, open, search]);
  const top = useRef(0); // a tree that is not shown (on a phone, beside an object) forgets where it was
  const measure = (): void => {
    const element = body.current;
    if (!element?.clientHeight) return;
    top.current = element.scrollTop;
    const first = Math.max(0, Math.floor(element.scrollTop / height) - OVERSCAN);
    const count = Math.ceil(element.clientHeight / height) + 2 * OVERSCAN;
    setView((before) => (before.first === first && before.count === count ? before : { first, count }));
  };
  useEffect(() => {
    measure();
    const observer = new ResizeObserver(() => {
      if (body.current?.clientHeight) body.current.scrollTop = top.current;
      measure();
    });
    if (body.current) observer.observe(body.current);
    return () => observer.disconnect();
  }, [height]);
  const at = Math.min(active, Math.max(0, rows.length - 1));
  const show = (index: number): void => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setActive(next);
    const element = body.current;
    if (!element) return;
    if (next * height < element.scrollTop) element.scrollTop = next * height;
    else if ((next + 1) * height > element.scrollTop + element.clientHeight)
      element.scrollTop = (next + 1) * height - element.clientHeight;
  };
  const place = rows.findIndex(({ id }) => id === current);
  useEffect(() => {
    if (place >= 0) show(place);
  }, [current, place >= 0]);
  const fold = (row: TreeRow, wanted: boolean): void => {
    if (row.open === null) return;
    const next = new Set(open);
    if (wanted) next.add(row.id);
    else next.delete(row.id);
    setOpen(next);
  };
  const press = (event: KeyboardEvent): void => {
    const row = rows[at];
    if (!row) return;
    if (event.key === "ArrowDown") show(at + 1);
    else if (event.key === "ArrowUp") show(at - 1);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(rows.length - 1);
    else if (event.key === "ArrowRight") row.open === false ? fold(row, true) : show(at + 1);
    else if (event.key === "ArrowLeft") row.open ? fold(row, false) : show(rows.findIndex(({ id }) => id === row.parent));
    else if (event.key === "Enter" || event.key === " ") go(addressOf(row));
    else return;
    event.preventDefault();
  };
  const first = Math.min(view.first, Math.max(0, rows.length - view.count));
  const shown = rows.slice(first, first + view.count);
  const drawn = shown.some((_, index) => first + index === at);
  return (
    <>
      {!rows.length && <p class="muted" role="status">{t("nothingFound")}</p>}
      <div
        class="model-tree"
        ref={body}
        role="tree"
        aria-label={t("model")}
        aria-activedescendant={drawn ? `model-row-${at}` : undefined}
        tabIndex={0}
        onScroll={measure}
        onKeyDown={press}
      >
        <div role="presentation" style={{ height: `${rows.length * height}px`, position: "relative" }}>
          {shown.map((row, index) => (
            <Row
              key={row.id}
              row={row}
              index={first + index}
              height={height}
              current={row.id === current}
              active={first + index === at}
              fold={fold}
              choose={() => {
                setActive(first + index);
                go(addressOf(row));
              }}
            />
          ))}
        </div>
      </div>
    </>
  );
}

interface RowProps {
  row: TreeRow;
  index: number;
  height: number;
  current: boolean;
  active: boolean;
  fold: (row: TreeRow, open: boolean) => void;
  choose: () => void;
}

function Row({ row, index, height, current, active, fold, choose }: RowProps) {
  return (
    <div
      id={`model-row-${index}`}
      class={`model-row ${active ? "active" : ""}`}
      role="treeitem"
      aria-level={row.level}
      aria-posinset={row.place}
      aria-setsize={row.siblings}
      aria-selected={current}
      aria-expanded={row.open ?? undefined}
      style={{ top: `${index * height}px`, height: `${height}px`, paddingInlineStart: `${(row.level - 1) * 16 + 4}px` }}
      onClick={choose}
    >
      <span
        class="model-fold"
        aria-hidden="true"
        onClick={(event) => {
          if (row.open === null) return;
          event.stopPropagation();
          fold(row, !row.open);
        }}
      >
        {row.open === null ? "" : row.open ? "▾" : "▸"}
      </span>
      <span class="model-title">{row.title}</span>{" "}
      {edits.value.has(row.id) && <span class="tag" title={t("unsaved")}>✎</span>}{" "}
      <span class="model-detail">{row.detail}</span>
    </div>
  );
}
