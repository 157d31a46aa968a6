// The rows of the file with what is wrong in them; every cell can be mended in place.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { translator } from "../../../i18n/i18n";
import { useCoarse } from "../../../ui/media";
import { VirtualTable } from "../../../ui/table";
import type { Located } from "./check";
import { words } from "./words";

const t = translator(words);
const LISTED = 50;

interface RowsProps {
  header: readonly string[];
  rows: readonly (readonly string[])[];
  /** Number of each row in the spreadsheet. */
  numbers: readonly number[];
  located: Located;
  set: (row: number, column: number, text: string) => void;
}

export function Rows({ header, rows, numbers, located, set }: RowsProps) {
  const [onlyBad, setOnlyBad] = useState(false);
  const [show, setShow] = useState({ row: "", column: "", turn: 0 });
  const box = useRef<HTMLDivElement>(null);
  const height = useCoarse() ? 48 : 36;
  // a row that is mended stays where it is until the filter is chosen anew
  const filtered = useMemo(() => rows.map((_, row) => row).filter((row) => !onlyBad || located.cells.has(row)), [onlyBad, rows.length, located.cells.size === 0]);
  useEffect(() => {
    if (!show.row) return;
    const place = header.indexOf(show.column);
    const find = `[data-row="${show.row}"][data-column="${Math.max(0, place)}"]`;
    const frame = requestAnimationFrame(() => box.current?.querySelector<HTMLInputElement>(find)?.focus());
    return () => cancelAnimationFrame(frame);
  }, [show]);
  const all = [...located.cells].sort(([a], [b]) => a - b).flatMap(([row, cells]) => [...cells].map(([column, message]) => ({ row, column, message })));
  return (
    <div class="stack" ref={box}>
      {all.length > 0 && (
        <ul class="import-errors">
          {all.slice(0, LISTED).map(({ row, column, message }) => (
            <li key={`${row}/${column}`}>
              <button
                type="button"
                class="button small"
                onClick={() => setShow({ row: String(row), column, turn: show.turn + 1 })}
              >
                {column ? t("cell", { row: numbers[row] ?? row, column }) : `${t("row")} ${numbers[row] ?? row}`}
              </button>
              <span class="error-text wrap-anywhere"> ✕ {message}</span>
            </li>
          ))}
          {all.length > LISTED && <li class="muted">{t("more", { count: all.length - LISTED })}</li>}
        </ul>
      )}
      <label class="check">
        <input type="checkbox" checked={onlyBad} onChange={(event) => setOnlyBad(event.currentTarget.checked)} />
        {t("onlyBad")}
      </label>
      <VirtualTable
        label={t("rows")}
        rows={filtered}
        rowKey={String}
        rowHeight={height}
        height={`${Math.min(12, filtered.length) * height + 54}px`}
        columns={`56px repeat(${header.length}, 150px)`}
        minWidth={`${56 + header.length * 150}px`}
        show={show.row}
        rowClass={(row) => (located.cells.has(row) ? "import-bad" : "")}
        head={
          <>
            <div role="columnheader" class="number import-number">{t("row")}</div>
            {header.map((name) => <div key={name} role="columnheader" title={name}>{name}</div>)}
          </>
        }
        renderRow={(row) => {
          const wrong = located.cells.get(row);
          return (
            <>
              <div role="rowheader" class="number import-number" title={wrong?.get("")}>
                {wrong && <span class="error-text" aria-hidden="true">✕ </span>}
                {numbers[row]}
              </div>
              {header.map((name, column) => {
                const message = wrong?.get(name);
                return (
                  <div key={name} role="cell" class="import-cell">
                    <input
                      type="text"
                      spellcheck={false}
                      autocomplete="off"
                      data-row={row}
                      data-column={column}
                      aria-label={t("cell", { row: numbers[row] ?? row, column: name })}
                      aria-invalid={message !== undefined}
                      title={message ?? ""}
                      value={rows[row]?.[column] ?? ""}
                      onInput={(event) => set(row, column, event.currentTarget.value)}
                    />
                  </div>
                );
              })}
            </>
          );
        }}
      />
    </div>
  );
}
