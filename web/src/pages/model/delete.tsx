// Deleting: first what would go with it, then, when that is more than one object, its id typed as confirmation.
import { useState } from "preact/hooks";
import { call, Problem } from "../../api/client";
import type { Kind, KindCounts } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { go, href } from "../../routes";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { ProblemNotice, useLoaded } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { countsText, total } from "./counts";
import { keyText, pathOf, refresh, setEdit } from "./store";
import { rowId } from "./tree";
import { words } from "./words";

const t = translator(words);

interface DeleteProps {
  kind: Kind;
  objectKey: string[];
  onClose: () => void;
}

export function DeleteDialog({ kind, objectKey, onClose }: DeleteProps) {
  const path = pathOf(kind, objectKey);
  const key = keyText(objectKey);
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState("");
  const count = useLoaded(
    (signal) => call<{ deleted: KindCounts }>("DELETE", `${path}?dry_run=true`, undefined, signal),
    path,
  );
  const several = count.data !== null && total(count.data.deleted) > 1;
  const remove = async (): Promise<void> => {
    try {
      const { deleted } = await call<{ deleted: KindCounts }>("DELETE", path);
      setEdit(rowId(kind, objectKey), null);
      onClose();
      toast(t("deleted", { counts: countsText(deleted) }));
      go(href("model"));
      await refresh();
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
    }
  };
  return (
    <Dialog title={t("deleteTitle", { key })} onClose={onClose}>
      {count.data ? (
        <p>{t("deleteText", { counts: countsText(count.data.deleted) })}</p>
      ) : (
        !count.problem && <p class="muted" role="status">{t("counting")}</p>
      )}
      <ProblemNotice problem={count.problem || problem} />
      {several && (
        <label class="field">
          <span class="label">{t("typeId", { key })}</span>
          <input type="text" autocomplete="off" spellcheck={false} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />
        </label>
      )}
      <div class="dialog-foot">
        <CurlButton request={() => ({ method: "DELETE", path })} />
        <button
          type="button"
          class="button danger"
          disabled={!count.data || (several && typed !== key)}
          onClick={() => void remove()}
        >
          {t("delete")}
        </button>
      </div>
    </Dialog>
  );
}
