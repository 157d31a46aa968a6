// The parameters of a formula: p1, p2, ... each a point.
import { translator } from "../../i18n/i18n";
import type { Draft } from "./draft";
import { Reference } from "./reference";
import { isParam } from "./schema";
import { words } from "./words";

const t = translator(words);

interface ParamsProps {
  draft: Draft;
  set: (name: string, text: string) => void;
  remove: (name: string) => void;
  errors: Record<string, string>;
}

/** The next free name, from p1. */
function nextParam(names: readonly string[]): string {
  for (let number = 1; ; number++) if (!names.includes(`p${number}`)) return `p${number}`;
}

export function Params({ draft, set, remove, errors }: ParamsProps) {
  const names = Object.keys(draft).filter(isParam).sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  return (
    <fieldset class="model-group">
      <legend>{t("params")}</legend>
      {names.map((name) => (
        <div key={name} class="field">
          <div class="model-param">
            <span class="mono">{name}</span>
            <Reference
              kind="point"
              value={draft[name] ?? ""}
              set={(text) => set(name, text)}
              aria-label={name}
              aria-invalid={name in errors}
              placeholder={t("paramHelp")}
            />
            <button type="button" class="button quiet" aria-label={t("removeParam", { name })} onClick={() => remove(name)}>✕</button>
          </div>
          {errors[name] && <span class="error" role="alert">{errors[name]}</span>}
        </div>
      ))}
      <div><button type="button" class="button small" onClick={() => set(nextParam(names), "")}>{t("addParam")}</button></div>
    </fieldset>
  );
}
