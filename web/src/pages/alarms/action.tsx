// Asks for a note, and for how long, before something is done with alarms; then says what did not work.
import { useState } from "preact/hooks";
import type { Alarm } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { toast } from "../../ui/toast";
import { words as uiWords } from "../../ui/words";
import { durationText, perform, requestOf, type Action, type Failure } from "./actions";
import { Duration, LONGEST } from "./duration";
import { words } from "./words";

const t = translator(words);
const ui = translator(uiWords);
const NAMED = 8;

export const countText = (count: number): string => (count === 1 ? t("one") : t("many", { count }));

interface ActionDialogProps {
  what: Action["what"];
  alarms: readonly Alarm[];
  onClose: () => void;
}

const TITLES = { ack: "ackTitle", shelve: "shelveTitle", unshelve: "unshelveTitle" } as const;
const DONE = { ack: "doneAck", shelve: "doneShelve", unshelve: "doneUnshelve" } as const;
const BUTTONS = { ack: "ack", shelve: "shelve", unshelve: "unshelve" } as const;

export function ActionDialog({ what, alarms, onClose }: ActionDialogProps) {
  const [note, setNote] = useState("");
  const [seconds, setSeconds] = useState(3600);
  const [left, setLeft] = useState<readonly Alarm[]>(alarms);
  const [done, setDone] = useState<number | null>(null);
  const [failures, setFailures] = useState<readonly Failure[]>([]);
  const action: Action = { what, note: note.trim(), ...(what === "shelve" ? { seconds } : {}) };
  const valid = what !== "shelve" || (seconds >= 1 && seconds <= LONGEST);
  const submit = async (): Promise<void> => {
    setDone(0);
    setFailures([]);
    const failed = await perform(left, action, setDone);
    setDone(null);
    const worked = left.length - failed.length;
    if (worked) toast(t(DONE[what], { count: countText(worked) }));
    if (!failed.length) return onClose();
    setLeft(failed.map(({ alarm }) => alarm));
    setFailures(failed);
  };
  return (
    <Dialog title={t(TITLES[what], { count: countText(left.length) })} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (valid && done === null) void submit();
        }}
      >
        <ul class="alarms-named">
          {left.slice(0, NAMED).map((alarm) => <li key={alarm.id} class="wrap-anywhere">{alarm.warn_msg || alarm.kind} <span class="muted">{alarm.id}</span></li>)}
          {left.length > NAMED && <li class="muted">{t("andMore", { count: left.length - NAMED })}</li>}
        </ul>
        {what === "shelve" && <Duration seconds={seconds} onChange={setSeconds} />}
        <label class="field">
          <span class="label">{t("note")}</span>
          <textarea rows={2} maxLength={1024} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
          <span class="help">{t("noteHelp")}</span>
        </label>
        {failures.length > 0 && (
          <div class="notice problem" role="alert">
            {t("failedTitle", { count: countText(failures.length) })}
            <ul>{failures.map(({ alarm, reason }) => <li key={alarm.id} class="wrap-anywhere">{alarm.id}: {reason}</li>)}</ul>
          </div>
        )}
        <div class="dialog-foot">
          <CurlButton request={() => left.map((alarm) => requestOf(alarm, action))} />
          <button type="button" class="button" onClick={onClose}>{ui("cancel")}</button>
          <button type="submit" class="button primary" disabled={!valid || done !== null}>
            {done !== null
              ? t("doing", { done, count: left.length })
              : `${t(BUTTONS[what]).replace(/ ?…$/, "")}${what === "shelve" && valid ? ` · ${durationText(seconds)}` : ""}`}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
