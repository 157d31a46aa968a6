// The new value: states as buttons, numbers checked while they are typed.
import { useId } from "preact/hooks";
import { translator } from "../i18n/i18n";
import { CHOICES, type Fault, type Range } from "./range";
import { boundText, stateText } from "./shown";
import { rangeText } from "./target";
import { words } from "./words";

const t = translator(words);

interface EntryProps {
  range: Range;
  unit: string;
  text: string;
  /** What is wrong with it; "" for nothing. */
  fault: Fault;
  /** What the server said of it. */
  refusal: string;
  hint: string;
  onInput: (text: string) => void;
}

export function Entry({ range, unit, text, fault, refusal, hint, onInput }: EntryProps) {
  const choices = CHOICES[range.kind];
  const id = useId();
  const message = refusal || (text === "" ? "" : faultText(fault, range));
  if (choices)
    return (
      <fieldset class="control-states" aria-describedby={id}>
        <legend>{t("choose")}</legend>
        {choices.map((choice) => (
          <label key={choice} class={`button ${text === choice ? "chosen" : ""}`}>
            <input type="radio" name="state" value={choice} checked={text === choice} onChange={() => onInput(choice)} />
            {stateText(range.kind, range.kind === "bool" ? choice === "1" : Number(choice), "", true)}
          </label>
        ))}
        <Messages id={id} message={message} hint={hint} />
      </fieldset>
    );
  return (
    <label class="field">
      <span class="label">{t("newValue")}{unit && ` (${unit})`}</span>
      <input
        type="text"
        inputMode={range.kind === "integer" || range.kind === "float" ? "decimal" : "text"}
        autocomplete="off"
        value={text}
        aria-invalid={message !== ""}
        aria-describedby={id}
        ref={focusFirst}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <span class="help">{rangeText(range, unit)}</span>
      <Messages id={id} message={message} hint={hint} />
    </label>
  );
}

/** The field has the focus when it appears; a ref is called once. */
function focusFirst(input: HTMLInputElement | null): void {
  input?.focus();
}

function Messages({ id, message, hint }: { id: string; message: string; hint: string }) {
  return (
    <span id={id} aria-live="polite">
      {message ? <span class="error-text">{message}</span> : hint && <span class="control-hint">⚠ {hint}</span>}
    </span>
  );
}

function faultText(fault: Fault, range: Range): string {
  if (!fault) return "";
  return t(`f:${fault}`, {
    min: range.min === null ? "" : boundText(range.min),
    max: range.max === null ? "" : boundText(range.max),
    step: range.step === null ? "" : boundText(range.step),
    count: range.bytes ?? 0,
  });
}
