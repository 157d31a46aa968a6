// Filter and order of the points.
import { translator } from "../../i18n/i18n";
import type { Column, Order } from "./point-list";
import type { Shape } from "./point-row";
import { words } from "./words";

const t = translator(words);
const SORTABLE: readonly Column[] = ["name", "value", "state", "age"];

interface ToolsProps {
  text: string;
  setText: (text: string) => void;
  abnormal: boolean;
  choose: (abnormal: boolean) => void;
  order: Order;
  setOrder: (order: Order) => void;
  /** Whether there are no column heads to sort by. */
  cards: boolean;
  shown: number;
  all: number;
}

export function PointTools({ text, setText, abnormal, choose, order, setOrder, cards, shown, all }: ToolsProps) {
  return (
    <div class="row device-tools">
      <input
        type="search"
        aria-label={t("filter")}
        placeholder={t("filterHint")}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <label class="check">
        <input type="checkbox" checked={abnormal} onChange={(event) => choose(event.currentTarget.checked)} />
        {t("onlyAbnormal")}
      </label>
      {cards && (
        <span class="row">
          <select
            aria-label={t("sortBy")}
            value={order.column}
            onChange={(event) => setOrder({ ...order, column: event.currentTarget.value as Column })}
          >
            {SORTABLE.map((column) => <option key={column} value={column}>{t(column)}</option>)}
          </select>
          <button
            type="button"
            class="button"
            aria-label={t(order.descending ? "down" : "up")}
            onClick={() => setOrder({ ...order, descending: !order.descending })}
          >
            <span aria-hidden="true">{order.descending ? "↓" : "↑"}</span>
          </button>
        </span>
      )}
      <span class="muted number" role="status">{t("shown", { shown, all })}</span>
    </div>
  );
}

interface HeadProps {
  shape: Shape;
  order: Order;
  setOrder: (order: Order) => void;
}

export function SortHead({ shape, order, setOrder }: HeadProps) {
  const column = (name: Column, number = false) => {
    const chosen = order.column === name;
    return (
      <div role="columnheader" class={number ? "number" : ""} aria-sort={!chosen ? "none" : order.descending ? "descending" : "ascending"}>
        <button
          type="button"
          class="device-sort"
          onClick={() => setOrder({ column: name, descending: chosen && !order.descending })}
        >
          {t(name)}
          <span aria-hidden="true">{chosen ? (order.descending ? " ↓" : " ↑") : ""}</span>
        </button>
      </div>
    );
  };
  return (
    <>
      {column("name")}
      {column("value", true)}
      {column("state")}
      {column("age", true)}
      {shape === "wide" && <div role="columnheader">{t("recent")}</div>}
      {shape === "wide" && <div role="columnheader" class="number">{t("limits")}</div>}
      <div role="columnheader">{t("actions")}</div>
    </>
  );
}
