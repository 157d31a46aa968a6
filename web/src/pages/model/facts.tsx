// An object for those who may not change it.
import type { ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { may } from "../../state/session";
import { textOf } from "./draft";
import { labelOf } from "./labels";
import type { FormField } from "./schema";
import { words } from "./words";

const t = translator(words);
const LIVE = new Set(["status", "link"]);

export function Facts({ object, fields }: { object: ModelObject; fields: readonly FormField[] }) {
  const defaults = new Map(fields.map((field) => [field.name, textOf(field.default)]));
  return (
    <>
      {!may("admin") && <p class="muted">{t("readOnly")}</p>}
      <dl class="model-facts">
        {Object.entries(object)
          .filter(([name]) => !LIVE.has(name))
          .map(([name, value]) => (
            <div key={name}>
              <dt>{labelOf(name)}</dt>
              <dd class={`wrap-anywhere ${defaults.get(name) === textOf(value) ? "muted" : ""}`}>{textOf(value) || "—"}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}
