// Second step, of tables: which column of the file is which field.
import { translator } from "../../../i18n/i18n";
import type { Kind } from "../../../api/types";
import type { Column } from "./columns";
import type { Table } from "./csv";
import { doubled, type Constants, type Mapping } from "./mapping";
import { ENCODINGS } from "./source";
import { words } from "./words";

const t = translator(words);
const KINDS: readonly Kind[] = ["device", "term", "item", "term_item", "formula"];
const PARAMS = Array.from({ length: 10 }, (_, number) => `p${number}`);
const EXAMPLES = 3;

interface MapStepProps {
  table: Table;
  columns: readonly Column[];
  mapping: Mapping;
  setMapping: (mapping: Mapping) => void;
  constants: Constants;
  setConstants: (constants: Constants) => void;
  encoding: string;
  setEncoding: (encoding: string) => void;
  back: () => void;
  next: () => void;
}

export function MapStep(props: MapStepProps) {
  const { table, columns, mapping, constants, setConstants } = props;
  const twice = doubled(mapping);
  const used = new Set([...mapping, ...Object.keys(constants)].filter(Boolean));
  const points = columns.some(({ kind, name }) => kind === "term_item" && used.has(name));
  const lacking = points ? ["term_id", "item_id"].filter((name) => !used.has(name)) : [];
  return (
    <div class="stack">
      {props.encoding !== "utf-8" && (
        <label class="notice row">
          {t("notUtf8")}
          <select value={props.encoding} onChange={(event) => props.setEncoding(event.currentTarget.value)}>
            {ENCODINGS.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </label>
      )}
      <p class="muted">{t("mapText", { rows: table.rows.length })}</p>
      <div class="scroll-x">
        <table class="import-map">
          <thead>
            <tr><th>{t("column")}</th><th>{t("examples")}</th><th>{t("goesTo")}</th></tr>
          </thead>
          <tbody>
            {table.header.map((name, place) => {
              const shown = name || t("noName", { n: place + 1 });
              return (
                <tr key={place}>
                  <th scope="row" class="wrap-anywhere">{shown}</th>
                  <td class="muted wrap-anywhere">{examplesOf(table, place)}</td>
                  <td>
                    <ColumnChoice
                      label={`${shown}: ${t("goesTo")}`}
                      columns={columns}
                      value={mapping[place] ?? ""}
                      choose={(next) => props.setMapping(mapping.map((old, at) => (at === place ? next : old)))}
                      none={t("leaveOut")}
                      bad={twice.includes(mapping[place] ?? "")}
                    />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <fieldset class="model-group">
        <legend>{t("constants")}</legend>
        <p class="muted">{t("constantsText")}</p>
        {Object.entries(constants).map(([name, value]) => (
          <div key={name} class="row">
            <label class="field">
              <span class="label mono">{name}</span>
              <input type="text" value={value} onInput={(event) => setConstants({ ...constants, [name]: event.currentTarget.value })} />
            </label>
            <button
              type="button"
              class="button quiet"
              aria-label={`${t("remove")}: ${name}`}
              onClick={() => setConstants(Object.fromEntries(Object.entries(constants).filter(([one]) => one !== name)))}
            >
              ✕
            </button>
          </div>
        ))}
        <label class="field model-kind">
          <span class="label">{t("addConstant")}</span>
          <ColumnChoice
            columns={columns.filter(({ name }) => !used.has(name))}
            value=""
            choose={(name) => name && setConstants({ ...constants, [name]: "" })}
            none=""
          />
        </label>
      </fieldset>
      {twice.length > 0 && <p class="error-text" role="alert">{t("doubled", { names: twice.join(", ") })}</p>}
      {lacking.length > 0 && (
        <p class="row" role="alert">
          <span class="error-text">{t("noPoints")}</span>
          {lacking.map((name) => (
            <button key={name} type="button" class="button small" onClick={() => setConstants({ ...constants, [name]: "" })}>
              {t("sameFor", { name })}
            </button>
          ))}
        </p>
      )}
      {!used.size && <p class="error-text" role="alert">{t("nothing")}</p>}
      <div class="row">
        <button type="button" class="button" onClick={props.back}>{t("back")}</button>
        <button type="button" class="button primary" disabled={twice.length > 0 || !used.size} onClick={props.next}>{t("next")}</button>
      </div>
    </div>
  );
}

function examplesOf({ rows }: Table, place: number): string {
  const found = new Set<string>();
  for (const row of rows) {
    const cell = row[place]?.trim();
    if (cell) found.add(cell.length > 30 ? `${cell.slice(0, 30)}…` : cell);
    if (found.size === EXAMPLES) break;
  }
  return [...found].join(", ");
}

interface ColumnChoiceProps {
  /** Without it the label around is the name. */
  label?: string;
  columns: readonly Column[];
  value: string;
  choose: (name: string) => void;
  none: string;
  bad?: boolean;
}

function ColumnChoice({ label, columns, value, choose, none, bad = false }: ColumnChoiceProps) {
  return (
    <select aria-label={label} aria-invalid={bad} value={value} onChange={(event) => choose(event.currentTarget.value)}>
      <option value="">{none}</option>
      {KINDS.map((kind) => (
        <optgroup key={kind} label={t(`k_${kind}`)}>
          {columns.filter((column) => column.kind === kind).map(({ name }) => <option key={name} value={name}>{name}</option>)}
          {kind === "formula" && PARAMS.map((name) => <option key={name} value={name}>{name}</option>)}
        </optgroup>
      ))}
    </select>
  );
}
