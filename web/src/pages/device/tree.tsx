// Any JSON for reading: names and values, lists of objects as tables.
import type { JSX } from "preact";
import { translator } from "../../i18n/i18n";
import { exactText } from "../../state/time";
import { words } from "./words";

const t = translator(words);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isEmpty = (value: unknown): boolean =>
  value === null || value === undefined || value === "" ||
  (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);

function plain(value: unknown): string {
  if (isEmpty(value)) return "—";
  if (typeof value === "boolean") return t(value ? "yes" : "no");
  if (typeof value === "string") return TIME.test(value) ? exactText(value) : value;
  return isObject(value) ? JSON.stringify(value) : String(value);
}

export function Tree({ value }: { value: unknown }): JSX.Element {
  if (isEmpty(value)) return <span class="muted">—</span>;
  if (Array.isArray(value)) {
    if (value.some(isObject)) return <Table rows={value.filter(isObject)} />;
    return <span class="wrap-anywhere">{value.map(plain).join(", ")}</span>;
  }
  if (!isObject(value)) return <span class="wrap-anywhere">{plain(value)}</span>;
  return (
    <dl class="device-tree">
      {Object.entries(value).map(([name, inner]) => (
        <div key={name} class={isObject(inner) && !isEmpty(inner) ? "nested" : ""}>
          <dt class="muted">{name.replaceAll("_", " ")}</dt>
          <dd><Tree value={inner} /></dd>
        </div>
      ))}
    </dl>
  );
}

function Table({ rows }: { rows: readonly Record<string, unknown>[] }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return (
    <div class="scroll-x" tabIndex={0}>
      <table>
        <thead><tr>{names.map((name) => <th key={name}>{name.replaceAll("_", " ")}</th>)}</tr></thead>
        <tbody>
          {rows.map((row, index) => <tr key={index}>{names.map((name) => <td key={name}>{plain(row[name])}</td>)}</tr>)}
        </tbody>
      </table>
    </div>
  );
}
