// One field of a form: label, input as the schema wants it, unit, range, help, and what is wrong with it.
import { useId } from "preact/hooks";
import { translator } from "../../i18n/i18n";
import { textOf, type Fault } from "./draft";
import { choiceOf, helpOf, labelOf } from "./labels";
import { Reference, referred } from "./reference";
import type { FormField } from "./schema";
import { words } from "./words";

const t = translator(words);

export interface FieldProps {
  field: FormField;
  text: string;
  set: (text: string) => void;
  /** What the server says. */
  error?: string | undefined;
  fault?: Fault | undefined;
}

/** Seconds: a limit that long need not be told. */
const YEAR = 31_536_000;

function rangeText({ range: { min, max, above } }: FormField): string {
  const end = max !== null && max < YEAR ? max : null;
  if (min !== null && above) return t("above", { min });
  if (min !== null && end !== null) return t("range", { min, max: end });
  return min !== null ? t("from", { min }) : end !== null ? t("upTo", { max: end }) : "";
}

/** The name of the default, as choices show it. */
function defaultText(field: FormField): string {
  const { default: value } = field;
  if (value === null || value === undefined || value === "") return t("notSet");
  return t("defaultIs", { value: chosenText(field, textOf(value)) });
}

/** What a choice, or yes or no, is called. */
const chosenText = ({ name, type }: FormField, choice: string): string =>
  type === "boolean" ? t(choice === "true" ? "yes" : "no") : choiceOf(name, choice);

export function Field(props: FieldProps) {
  const { field, text, fault } = props;
  const id = useId();
  const error = fault ? t(fault.key, { limit: fault.limit }) : props.error;
  const plain = field.type === "const" || referred(field.name) !== null;
  const help = plain ? "" : [helpOf(field.help), rangeText(field)].filter(Boolean).join(t("between"));
  const described = [help && `${id}h`, error && `${id}e`].filter(Boolean).join(" ") || undefined;
  return (
    <div class={`field ${field.type === "long" ? "model-wide" : ""}`}>
      <label class="label" for={id}>
        {labelOf(field.name)}
        {field.required && <span aria-hidden="true"> *</span>}{" "}
        <span class="model-name">{field.name}</span>
      </label>
      <span class="model-input">
        <Input id={id} {...props} described={described} bad={Boolean(error)} />
        {field.unit && text !== "" && field.type !== "any" && <span class="muted">{field.unit}</span>}
      </span>
      {error && <span class="error" id={`${id}e`} role="alert">{error}</span>}
      {help && <span class="help" id={`${id}h`}>{help}</span>}
    </div>
  );
}

interface InputProps extends FieldProps {
  id: string;
  described: string | undefined;
  bad: boolean;
}

function Input({ id, field, text, set, described, bad }: InputProps) {
  const common = { id, "aria-describedby": described, "aria-invalid": bad, "aria-required": field.required };
  const change = (event: { currentTarget: { value: string } }): void => set(event.currentTarget.value);
  if (field.type === "const") return <input {...common} type="text" readOnly value={textOf(field.default)} />;
  if (field.type === "choice" || field.type === "boolean") {
    const choices = field.type === "boolean" ? ["true", "false"] : field.choices.map(String);
    const plain = field.required ? [] : [["", defaultText(field)] as const];
    const named = choices
      .filter((choice) => field.required || choice !== textOf(field.default))
      .map((choice) => [choice, chosenText(field, choice)] as const);
    return (
      <select {...common} value={text} onChange={change}>
        {field.required && text === "" && <option value="" />}
        {[...plain, ...named].map(([value, shown]) => <option key={value} value={value}>{shown}</option>)}
      </select>
    );
  }
  const kind = referred(field.name);
  if (kind) return <Reference {...common} kind={kind} value={text} set={set} />;
  const holder = textOf(field.default) || (field.example && t("example", { text: field.example }));
  if (field.type === "long")
    return <textarea {...common} class="mono" rows={3} spellcheck={false} placeholder={holder} value={text} onInput={change} />;
  const numeric = field.type === "number" || field.type === "integer";
  return (
    <input
      {...common}
      type="text"
      inputMode={field.type === "integer" ? "numeric" : numeric ? "decimal" : "text"}
      class={numeric ? "number" : ""}
      autocomplete="off"
      spellcheck={false}
      placeholder={holder}
      value={text}
      onInput={change}
    />
  );
}
