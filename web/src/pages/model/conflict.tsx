// Somebody else changed the object meanwhile: what was, what is, what one would save.
import type { ModelObject } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { Dialog } from "../../ui/dialog";
import { textOf, type Difference } from "./draft";
import { labelOf } from "./labels";
import { words } from "./words";

const t = translator(words);

interface ConflictProps {
  differences: readonly Difference[];
  /** The merge patch that would be sent. */
  mine: ModelObject;
  onClose: () => void;
  overwrite: () => void;
  takeTheirs: () => void;
}

export function Conflict({ differences, mine, onClose, overwrite, takeTheirs }: ConflictProps) {
  const theirs = new Map(differences.map((one) => [one.field, one]));
  const fields = [...new Set([...theirs.keys(), ...Object.keys(mine)])];
  return (
    <Dialog title={t("conflict")} onClose={onClose} wide>
      <p>{t("conflictText")}</p>
      <div class="scroll-x" role="group" aria-label={t("conflict")} tabIndex={0}>
        <table>
          <thead>
            <tr><th>{t("field")}</th><th>{t("opened")}</th><th>{t("now")}</th><th>{t("yours")}</th></tr>
          </thead>
          <tbody>
            {fields.map((field) => {
              const one = theirs.get(field);
              return (
                <tr key={field}>
                  <th scope="row">{labelOf(field)}</th>
                  <td class="wrap-anywhere">{one ? textOf(one.opened) || "—" : ""}</td>
                  <td class="wrap-anywhere">{one ? textOf(one.now) || "—" : ""}</td>
                  <td class="wrap-anywhere">{field in mine ? textOf(mine[field]) || t("emptyIsDefault") : ""}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <div class="dialog-foot">
        <button type="button" class="button" onClick={takeTheirs}>{t("takeTheirs")}</button>
        <button type="button" class="button danger" onClick={overwrite}>{t("overwrite")}</button>
      </div>
    </Dialog>
  );
}
