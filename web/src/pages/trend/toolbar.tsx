// Which time is shown: a moving window or a fixed span; and what to do with the picture.
import { useEffect, useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { zone } from "../../state/time";
import { WINDOWS, zoomed, type View } from "./view";
import type { Span } from "./load";
import { words } from "./words";

const t = translator(words);

const lengthText = (seconds: number): string => (seconds < 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`);

interface ToolbarProps {
  view: View;
  span: Span;
  change: (view: Partial<View>) => void;
}

export function Toolbar({ view, span, change }: ToolbarProps) {
  const middle = (span.from + span.to) / 2;
  const shift = (span.to - span.from) / 2;
  const show = (from: number, to: number): void => change({ live: 0, from, to });
  return (
    <div class="row">
      <label class="check">
        {t("live")}
        <select
          value={view.live ? String(view.live) : ""}
          onChange={(event) => {
            const live = Number(event.currentTarget.value);
            change(live ? { live } : { live: 0, from: span.from, to: span.to });
          }}
        >
          <option value="">{t("span")}</option>
          {!WINDOWS.some((one) => one === view.live) && view.live > 0 && <option value={String(view.live)}>{`${view.live} s`}</option>}
          {WINDOWS.map((one) => <option key={one} value={String(one)}>{t("last", { length: lengthText(one) })}</option>)}
        </select>
      </label>
      <span class="row">
        <button type="button" class="button" aria-label={t("earlier")} onClick={() => show(span.from - shift, span.to - shift)}>◀</button>
        <button type="button" class="button" aria-label={t("zoomIn")} onClick={() => show(...zoomed(span.from, span.to, middle, 0.5))}>+</button>
        <button type="button" class="button" aria-label={t("zoomOut")} onClick={() => show(...zoomed(span.from, span.to, middle, 2))}>−</button>
        <button type="button" class="button" aria-label={t("later")} onClick={() => show(span.from + shift, span.to + shift)}>▶</button>
      </span>
      {!view.live && <Spans span={span} show={show} />}
    </div>
  );
}

function Spans({ span, show }: { span: Span; show: (from: number, to: number) => void }) {
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  useEffect(() => {
    setFrom(fieldText(span.from));
    setTo(fieldText(span.to));
  }, [span.from, span.to, zone.value]);
  const [first, last] = [fieldTime(from), fieldTime(to)];
  const wrong = !(first < last);
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong) show(first, last);
      }}
    >
      <label class="check">{t("from")}<input type="datetime-local" step="1" value={from} onInput={(event) => setFrom(event.currentTarget.value)} /></label>
      <label class="check">{t("to")}<input type="datetime-local" step="1" value={to} onInput={(event) => setTo(event.currentTarget.value)} /></label>
      <button type="submit" class="button" disabled={wrong}>{t("show")}</button>
      {wrong && <span class="error-text" role="alert">{t("wrongSpan")}</span>}
    </form>
  );
}

/** As a field for date and time has it: without a zone, which is the one chosen. */
function fieldText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const shift = zone.value === "utc" ? 0 : date.getTimezoneOffset() * 60_000;
  return new Date(date.getTime() - shift).toISOString().slice(0, 19);
}

function fieldTime(text: string): number {
  return Date.parse(zone.value === "utc" ? `${text}Z` : text) / 1000;
}
