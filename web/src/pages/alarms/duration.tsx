// How long: usual times as buttons, any other as number and unit.
import { useState } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { durationText } from "./actions";
import { words } from "./words";

const t = translator(words);
const USUAL = [900, 3600, 4 * 3600, 8 * 3600, 86_400, 7 * 86_400] as const;
/** Seconds that the server allows at most: 30 days. */
export const LONGEST = 30 * 86_400;
const UNITS = [["60", "minutes"], ["3600", "hours"], ["86400", "days"]] as const;

export function Duration({ seconds, onChange }: { seconds: number; onChange: (seconds: number) => void }) {
  const [own, setOwn] = useState(false);
  const [number, setNumber] = useState("2");
  const [unit, setUnit] = useState("3600");
  const take = (text: string, size: string): void => {
    setNumber(text);
    setUnit(size);
    onChange(text.trim() === "" ? NaN : Number(text) * Number(size));
  };
  const wrong = own && !(seconds >= 1 && seconds <= LONGEST);
  return (
    <fieldset class="alarms-duration">
      <legend>{t("duration")}</legend>
      <div class="row">
        {USUAL.map((each) => (
          <label key={each} class="check alarms-usual">
            <input type="radio" name="duration" checked={!own && seconds === each} onChange={() => { setOwn(false); onChange(each); }} />
            {durationText(each)}
          </label>
        ))}
        <label class="check alarms-usual">
          <input type="radio" name="duration" checked={own} onChange={() => { setOwn(true); take(number, unit); }} />
          {t("own")}
        </label>
      </div>
      {own && (
        <div class="row">
          <label class="check">{t("number")} <input type="number" min="1" step="any" value={number} aria-invalid={wrong} onInput={(event) => take(event.currentTarget.value, unit)} /></label>
          <label class="check">{t("unit")} <select value={unit} onChange={(event) => take(number, event.currentTarget.value)}>{UNITS.map(([size, name]) => <option key={size} value={size}>{t(name)}</option>)}</select></label>
          {wrong && <span class="error-text" role="alert">{t("durationBad")}</span>}
        </div>
      )}
      <p class="muted">{t("shelveHelp")}</p>
    </fieldset>
  );
}
