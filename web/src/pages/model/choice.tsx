// Choosing from a long list: filter, tick, tick all that are shown.
import { useMemo, useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { Write } from "../../ui/filters";
import { useCoarse, useNarrow } from "../../ui/media";
import { VirtualTable } from "../../ui/table";
import { words } from "./words";

const t = translator(words);

export interface Choosable {
  key: string;
  title: string;
  detail: string;
  protocol: string;
  device: string;
}

interface ChoiceProps {
  all: readonly Choosable[];
  chosen: ReadonlySet<string>;
  setChosen: (chosen: ReadonlySet<string>) => void;
}

export function Choice({ all, chosen, setChosen }: ChoiceProps) {
  const [filter, setFilter] = useState("");
  const coarse = useCoarse();
  const narrow = useNarrow();
  const height = narrow ? 70 : coarse ? 44 : 32;
  const shown = useMemo(() => {
    const parts = filter.toLowerCase().split(/\s+/).filter(Boolean);
    if (!parts.length) return all;
    return all.filter(({ title, detail, protocol }) => {
      const where = `${title} ${detail} ${protocol}`.toLowerCase();
      return parts.every((part) => where.includes(part));
    });
  }, [all, filter]);
  const toggle = (key: string): void => {
    const next = new Set(chosen);
    if (!next.delete(key)) next.add(key);
    setChosen(next);
  };
  return (
    <div class="stack">
      <div class="row model-bottom">
        <Write label={t("filter")} value={filter} onChange={setFilter} />
        <button type="button" class="button" disabled={!shown.length} onClick={() => setChosen(new Set([...chosen, ...shown.map(({ key }) => key)]))}>
          {t("chooseAll", { count: shown.length })}
        </button>
        <button type="button" class="button" disabled={!chosen.size} onClick={() => setChosen(new Set())}>{t("chooseNone")}</button>
        <span class="muted" role="status">{t("chosen", { count: chosen.size, all: all.length })}</span>
      </div>
      <VirtualTable
        label={t("bulk")}
        rows={shown}
        rowKey={(row) => row.key}
        rowHeight={height}
        height={`${Math.min(10, Math.max(3, shown.length + 1)) * height + 40}px`}
        columns={narrow ? "44px minmax(0, 1fr)" : "44px minmax(0, 1fr) minmax(0, 1.4fr)"}
        head={
          <>
            <div role="columnheader"><span class="hidden-text">{t("choice")}</span></div>
            <div role="columnheader">{t("object")}</div>
            <div role="columnheader" class={narrow ? "hidden-text" : ""}>{t("details")}</div>
          </>
        }
        renderRow={(row) => (
          <>
            <div role="cell" class={narrow ? "model-beside" : ""}>
              <label class="model-tick">
                <input type="checkbox" aria-label={`${row.title} ${row.key}`} checked={chosen.has(row.key)} onChange={() => toggle(row.key)} />
              </label>
            </div>
            <div role="cell" class={narrow ? "two-lines" : ""}>{row.title}</div>
            <div role="cell" class={`muted ${narrow ? "model-below" : ""}`}>{row.detail}</div>
          </>
        )}
      />
    </div>
  );
}
