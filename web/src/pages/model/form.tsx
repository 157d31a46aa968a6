// The form of any object: groups of fields made from the schema, with the checks that belong to some of them.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Kind, ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { FormulaCheck, RuleCheck, SqlCheck } from "./check";
import { objectOf, textOf, type Draft, type Faults } from "./draft";
import { Field } from "./field";
import { groupsOf, type Group } from "./groups";
import { Params } from "./params";
import type { FormField } from "./schema";
import { model } from "./store";
import { words } from "./words";

const t = translator(words);

/** What is always to be seen. */
const UNFOLDED = new Set<Group>(["identity", "address", "expression"]);

interface FormProps {
  kind: Kind;
  fields: readonly FormField[];
  draft: Draft;
  change: (draft: Draft) => void;
  faults: Faults;
  errors: Record<string, string>;
  extras?: ModelObject;
  /** Named here, not in a field of its own: shown above the form. */
  hidden?: ReadonlySet<string>;
}

export function Form({ kind, fields, draft, change, faults, errors, extras = {}, hidden }: FormProps) {
  const set = (name: string, text: string): void => change({ ...draft, [name]: text });
  const shown = hidden ? fields.filter(({ name }) => !hidden.has(name)) : fields;
  const groups = groupsOf(kind, shown);
  return (
    <>
      {groups.map(([group, members]) => (
        <FormGroup
          key={group}
          group={group}
          folded={!UNFOLDED.has(group)}
          filled={members.some(({ name, type }) => type !== "const" && (draft[name] ?? "") !== "")}
          wrong={members.some(({ name }) => name in faults || name in errors)}
        >
          <div class="model-fields">
            {members.map((field) => (
              <Field
                key={field.name}
                field={field}
                text={draft[field.name] ?? ""}
                set={(text) => set(field.name, text)}
                fault={faults[field.name]}
                error={errors[field.name]}
              />
            ))}
          </div>
          {group === "expression" && <FormulaCheck draft={draft} />}
          {kind === "term_item" && group === "identity" && <MissingItem id={draft["item_id"] ?? ""} />}
          {group === "watching" && (
            <RuleCheck rule={draft["do_verify"] ?? ""} termId={draft["term_id"] ?? ""} itemId={draft["item_id"] ?? ""} />
          )}
          {group === "storing" && (draft["db_save_sql"] || draft["db_warn_sql"]) && (
            <SqlCheck body={() => objectOf(fields, draft).body} />
          )}
        </FormGroup>
      ))}
      {kind === "formula" && (
        <Params
          draft={draft}
          set={set}
          remove={(name) => change(Object.fromEntries(Object.entries(draft).filter(([one]) => one !== name)))}
          errors={errors}
        />
      )}
      {Object.keys(extras).length > 0 && (
        <fieldset class="model-group">
          <legend>{t("extras")}</legend>
          {Object.entries(extras).map(([name, value]) => (
            <div key={name} class="wrap-anywhere"><span class="mono">{name}</span>: {textOf(value)}</div>
          ))}
        </fieldset>
      )}
    </>
  );
}

interface GroupProps {
  group: Group;
  folded: boolean;
  filled: boolean;
  wrong: boolean;
  children: ComponentChildren;
}

/** What has nothing but defaults is folded in; what is wrong is never hidden. */
function FormGroup({ group, folded, filled, wrong, children }: GroupProps) {
  const [chosen, setChosen] = useState<boolean | null>(null);
  const [filledFirst] = useState(filled);
  if (!folded)
    return (
      <fieldset class="model-group">
        <legend>{t(group)}</legend>
        {children}
      </fieldset>
    );
  return (
    <details
      class="model-group"
      open={wrong || (chosen ?? filledFirst)}
      onToggle={(event) => {
        if (!wrong) setChosen(event.currentTarget.open);
      }}
    >
      <summary>{t(group)}</summary>
      {children}
    </details>
  );
}

/** A point of an item that does not exist cannot be saved: the item is made first. */
function MissingItem({ id }: { id: string }) {
  if (!id || model.value.items.has(id)) return null;
  return (
    <p class="row">
      <span>{t("missingItem", { id })}</span>
      <a class="button small" href={href("model", ["new", "item"], { id })}>{t("makeItem")}</a>
    </p>
  );
}
