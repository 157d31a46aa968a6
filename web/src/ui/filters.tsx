// Fields above a list that choose what it shows.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { translator } from "../i18n/i18n";
import { devices } from "../state/plant";
import { zone } from "../state/time";
import { fieldOfMoment, momentOfField } from "./moment";
import { words } from "./words";

const t = translator(words);

const narrow = matchMedia("(max-width: 700px)");

/** On narrow screens the fields are folded, so that the list is seen first; `active` counts those that are set. */
export function Filters({ label, active, children }: { label: string; active: number; children: ComponentChildren }) {
  const [folds, setFolds] = useState(narrow.matches);
  useEffect(() => {
    const look = (): void => setFolds(narrow.matches);
    narrow.addEventListener("change", look);
    return () => narrow.removeEventListener("change", look);
  }, []);
  const fields = <div class="filters" role="group" aria-label={label}>{children}</div>;
  return folds ? (
    <details class="filters-fold">
      <summary>{label}{active > 0 && ` (${active})`}</summary>
      {fields}
    </details>
  ) : fields;
}

interface FieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

export function Choose({ label, value, onChange, options }: FieldProps & { options: readonly (readonly [string, string])[] }) {
  return (
    <label class="field">
      <span class="label">{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([key, text]) => <option key={key} value={key}>{text}</option>)}
      </select>
    </label>
  );
}

export function ChooseDevice({ label, value, onChange }: FieldProps) {
  const known = [...devices.value.values()].map((device) => [device.id, device.name || device.id] as const);
  if (value && !devices.value.has(value)) known.push([value, value]);
  return <Choose label={label} value={value} onChange={onChange} options={[["", t("all")], ...known]} />;
}

/** Text; with `late` it counts when it is complete (Enter, or leaving the field), for what the server searches. */
export function Write({ label, value, onChange, late = false, placeholder = "" }: FieldProps & { late?: boolean; placeholder?: string }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return (
    <label class="field write">
      <span class="label">{label}</span>
      <input
        type="search"
        value={text}
        placeholder={placeholder}
        onInput={(event) => {
          setText(event.currentTarget.value);
          if (!late) onChange(event.currentTarget.value);
        }}
        onChange={() => text !== value && onChange(text)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && text !== value) onChange(text);
        }}
      />
    </label>
  );
}

/** A moment as ISO 8601 in UTC, shown in the chosen time zone; "" for none. */
export function Moment({ label, value, onChange }: FieldProps) {
  const zoned = zone.value;
  return (
    <label class="field moment">
      <span class="label">{label}</span>
      <input
        type="datetime-local"
        step="1"
        value={fieldOfMoment(value, zoned)}
        onChange={(event) => onChange(momentOfField(event.currentTarget.value, zoned))}
      />
    </label>
  );
}
