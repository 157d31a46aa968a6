// The alarms of now: the most urgent first.
import { useRef, useState } from "preact/hooks";
import type { Alarm } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { useIds } from "../../live/values";
import { setQuery } from "../../routes";
import { byUrgency, isShelved, isUnacknowledged } from "../../state/alarms";
import { alarms, devices, pointId, points } from "../../state/plant";
import { may } from "../../state/session";
import { Choose, ChooseDevice, Filters, Write } from "../../ui/filters";
import { named } from "../../ui/marks";
import { toast } from "../../ui/toast";
import { ActionDialog, countText } from "./action";
import { perform, type Action } from "./actions";
import { textOf } from "./cells";
import { filterOf, matches, PRIORITIES, STATE_CHOICES, type AlarmFilter } from "./filter";
import { AlarmRow } from "./row";
import { words } from "./words";

const t = translator(words);
const STEP = 100;

export function LiveAlarms({ query }: { query: URLSearchParams }) {
  const filter = filterOf(query);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [asked, setAsked] = useState<{ what: Action["what"]; alarms: readonly Alarm[] } | null>(null);
  const [most, setMost] = useState(STEP);
  const all = [...alarms.value.values()];
  const found = all.filter((alarm) => matches(filter, alarm, namesOf(alarm))).sort(byUrgency);
  const shown = found.slice(0, most);
  useIds(shown.map(pointId).filter((id, index, ids) => ids.indexOf(id) === index).sort());
  const set = (change: Partial<AlarmFilter>): void => setQuery({ ...filter, ...change });
  const picked = shown.filter((alarm) => chosen.has(alarm.id));
  const choose = (alarm: Alarm, on: boolean): void =>
    setChosen((before) => {
      const next = new Set(before);
      if (on) next.add(alarm.id);
      else next.delete(alarm.id);
      return next;
    });
  const body = useRef<HTMLTableSectionElement>(null);
  const ackOne = async (alarm: Alarm): Promise<void> => {
    const place = shown.indexOf(alarm);
    const [failed] = await perform([alarm], { what: "ack", note: "" });
    toast(failed ? failed.reason : t("doneAck", { count: countText(1) }));
    requestAnimationFrame(() => {
      // its row has gone, and the focus with it: on to the one that took its place
      if (document.activeElement === document.body)
        body.current?.children[place]?.querySelector<HTMLElement>(".alarms-actions button")?.focus();
    });
  };
  const operate = may("operate");
  const shelved = all.filter(isShelved).length;
  const filtered = Boolean(filter.state || filter.priority || filter.device || filter.text);
  return (
    <>
      <Filters label={t("filters")} active={Object.values(filter).filter(Boolean).length}>
        <Choose label={t("state")} value={filter.state} onChange={(state) => set({ state: state as AlarmFilter["state"] })} options={STATE_CHOICES.map((state) => [state, textOf("s:", state)])} />
        <Choose label={t("priority")} value={filter.priority} onChange={(priority) => set({ priority })} options={[["", textOf("s:", "all")], ...PRIORITIES.map((priority) => [priority, named(priority)] as const)]} />
        <ChooseDevice label={t("device")} value={filter.device} onChange={(device) => set({ device })} />
        <Write label={t("text")} value={filter.text} onChange={(text) => set({ text })} placeholder={t("textHint")} />
      </Filters>
      {operate && found.length > 0 && (
        <Toolbar shown={shown} picked={picked} onAsk={(what, some) => setAsked({ what, alarms: some })} onNone={() => setChosen(new Set())} />
      )}
      {!operate && found.length > 0 && <p class="muted">{t("readOnly")}</p>}
      {found.length === 0 ? (
        <div class="alarms-empty muted" role="status">
          <p>{all.length > shelved || filtered ? t(all.length ? "noMatch" : "noAlarms") : t("noAlarms")}</p>
          <div class="row">
            {filtered && all.length > 0 && <button type="button" class="button" onClick={() => setQuery({})}>{t("clear")}</button>}
            {!filtered && shelved > 0 && <button type="button" class="button" onClick={() => set({ state: "shelved" })}>{t("shelvedToo", { count: shelved })}</button>}
          </div>
        </div>
      ) : (
        <table role="table" class="alarms-table" aria-label={t("alarms")}>
          <thead role="rowgroup">
            <tr role="row">
              {operate && (
                <th role="columnheader" class="alarms-choose">
                  <label class="check">
                    <input
                      type="checkbox"
                      aria-label={t("chooseAll")}
                      checked={picked.length === shown.length}
                      onChange={(event) => setChosen(new Set(event.currentTarget.checked ? shown.map(({ id }) => id) : []))}
                    />
                  </label>
                </th>
              )}
              {(["priority", "state", "raised", "point", "value", "message", "who", "actions"] as const).map((name) => <th role="columnheader" key={name}>{t(name)}</th>)}
            </tr>
          </thead>
          <tbody role="rowgroup" ref={body}>
            {shown.map((alarm) => (
              <AlarmRow
                key={alarm.id}
                alarm={alarm}
                chosen={chosen.has(alarm.id)}
                onChoose={choose}
                onAck={(one) => void ackOne(one)}
                onShelve={(one) => setAsked({ what: "shelve", alarms: [one] })}
                onUnshelve={(one) => setAsked({ what: "unshelve", alarms: [one] })}
              />
            ))}
          </tbody>
        </table>
      )}
      {found.length > 0 && (
        <div class="row muted" role="status">
          {t("shown", { shown: shown.length, count: found.length })}
          {found.length > most && <button type="button" class="button" onClick={() => setMost(most + STEP)}>{t("showMore")}</button>}
          {filter.state === "" && shelved > 0 && <button type="button" class="button quiet" onClick={() => set({ state: "shelved" })}>{t("shelvedToo", { count: shelved })}</button>}
        </div>
      )}
      {asked && (
        <ActionDialog
          what={asked.what}
          alarms={asked.alarms}
          onClose={() => {
            setAsked(null);
            setChosen(new Set());
          }}
        />
      )}
    </>
  );
}

function namesOf(alarm: Alarm): string {
  return `${points.value.get(pointId(alarm))?.name ?? ""} ${devices.value.get(alarm.device_id)?.name ?? ""}`;
}

interface ToolbarProps {
  shown: readonly Alarm[];
  picked: readonly Alarm[];
  onAsk: (what: Action["what"], alarms: readonly Alarm[]) => void;
  onNone: () => void;
}

/** What can be done with several at once; alarms in whose state it cannot be done are left out. */
function Toolbar({ shown, picked, onAsk, onNone }: ToolbarProps) {
  const toAck = picked.filter(isUnacknowledged);
  const toShelve = picked.filter((alarm) => !isShelved(alarm));
  const toUnshelve = picked.filter(isShelved);
  const visible = shown.filter(isUnacknowledged);
  return (
    <div class="row alarms-toolbar">
      {picked.length === 0 ? (
        visible.length > 0 && <button type="button" class="button" onClick={() => onAsk("ack", visible)}>{t("ackVisible", { count: visible.length })}</button>
      ) : (
        <>
          <button type="button" class="button" disabled={!toAck.length} onClick={() => onAsk("ack", toAck)}>{t("ackSelected", { count: toAck.length })}</button>
          {toShelve.length > 0 && <button type="button" class="button" onClick={() => onAsk("shelve", toShelve)}>{t("shelveSelected", { count: toShelve.length })}</button>}
          {toUnshelve.length > 0 && <button type="button" class="button" onClick={() => onAsk("unshelve", toUnshelve)}>{t("unshelveSelected", { count: toUnshelve.length })}</button>}
          <button type="button" class="button quiet" onClick={onNone}>{t("clearSelection")}</button>
        </>
      )}
    </div>
  );
}
