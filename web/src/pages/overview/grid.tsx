// Tiles of any number: only those near the part of the page in view exist.
import { useEffect, useRef, useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { DeviceTile } from "./tile";
import type { Tile } from "./tiles";
import { words } from "./words";

const t = translator(words);

// Pixels. The height is that of .overview-tile in page.css.
const HEIGHT = 126;
const WIDTH = 264;
const GAP = 8;
const OVERSCAN = 2; // rows

interface View {
  columns: number;
  first: number;
  count: number;
}

export function TileGrid({ tiles }: { tiles: readonly Tile[] }) {
  const list = useRef<HTMLUListElement>(null);
  const [view, setView] = useState<View>({ columns: 1, first: 0, count: 12 });
  useEffect(() => {
    const measure = (): void => {
      if (!list.current) return;
      const { top, width } = list.current.getBoundingClientRect();
      const columns = Math.max(1, Math.floor((width + GAP) / (WIDTH + GAP)));
      const first = Math.max(0, Math.floor(-top / (HEIGHT + GAP)) - OVERSCAN);
      const count = Math.ceil(innerHeight / (HEIGHT + GAP)) + 2 * OVERSCAN;
      setView((before) =>
        before.columns === columns && before.first === first && before.count === count ? before : { columns, first, count },
      );
    };
    measure();
    const observer = new ResizeObserver(measure);
    if (list.current) observer.observe(list.current);
    addEventListener("scroll", measure, { passive: true });
    addEventListener("resize", measure);
    return () => {
      observer.disconnect();
      removeEventListener("scroll", measure);
      removeEventListener("resize", measure);
    };
  }, []);
  const rows = Math.ceil(tiles.length / view.columns);
  const first = Math.min(view.first, Math.max(0, rows - view.count));
  const shown = tiles.slice(first * view.columns, (first + view.count) * view.columns);
  return (
    <ul class="overview-grid" ref={list} aria-label={t("tiles")} style={{ height: `${rows * (HEIGHT + GAP) - GAP}px` }}>
      {shown.map((tile, index) => {
        const place = first * view.columns + index;
        return (
          <li
            key={tile.id}
            aria-setsize={tiles.length}
            aria-posinset={place + 1}
            style={{
              top: `${Math.floor(place / view.columns) * (HEIGHT + GAP)}px`,
              insetInlineStart: `calc((100% + ${GAP}px) / ${view.columns} * ${place % view.columns})`,
              width: `calc((100% + ${GAP}px) / ${view.columns} - ${GAP}px)`,
            }}
          >
            <DeviceTile tile={tile} />
          </li>
        );
      })}
    </ul>
  );
}
