// Fields for the parameters of an operation.
import { translator } from "../../i18n/i18n";
import { optionsOf, typeText, type Document, type Operation } from "./openapi";
import { words } from "./words";

const t = translator(words);

interface FieldsProps {
  document: Document;
  operation: Operation;
  /** `place name` -> text. */
  values: Record<string, string>;
  onChange: (values: Record<string, string>) => void;
}

export function Fields({ document, operation, values, onChange }: FieldsProps) {
  if (!operation.parameters.length) return null;
  return (
    <div class="api-fields" role="group" aria-label={t("parameters")}>
      {operation.parameters.map((parameter) => {
        const key = `${parameter.in} ${parameter.name}`;
        const options = optionsOf(document, parameter);
        const required = parameter.in === "path" || Boolean(parameter.required);
        const example = parameter.schema?.examples?.[0];
        const set = (text: string): void => onChange({ ...values, [key]: text });
        return (
          <label key={key} class="field">
            <span class="label mono">
              {parameter.name} <span class="muted api-place">{parameter.in}{required && `, ${t("required")}`}</span>
            </span>
            {options ? (
              <select value={values[key] ?? ""} onChange={(event) => set(event.currentTarget.value)}>
                {options.map((option) => <option key={option} value={option}>{option}</option>)}
              </select>
            ) : (
              <input
                type="text"
                spellcheck={false}
                autocomplete="off"
                required={required}
                placeholder={example === undefined ? "" : String(example)}
                value={values[key] ?? ""}
                onInput={(event) => set(event.currentTarget.value)}
              />
            )}
            <span class="help">{parameter.description} <span class="mono">{typeText(document, parameter)}</span></span>
          </label>
        );
      })}
    </div>
  );
}
