// What happened to alarms, newest first.
import { useState } from "preact/hooks";
import { Problem, withQuery } from "../../api/client";
import type { AlarmStep } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { points, pointId } from "../../state/plant";
import { exactText } from "../../state/time";
import { saveText } from "../../ui/copy";
import { csvOf } from "../../ui/csv";
import { CurlButton } from "../../ui/curl";
import { Choose, ChooseDevice, Filters, Moment } from "../../ui/filters";
import { valueText } from "../../ui/format";
import { Loading, ProblemNotice } from "../../ui/loading";
import { named, Priority, QualityMark } from "../../ui/marks";
import { readPage, usePaged } from "../../ui/paged";
import { toast } from "../../ui/toast";
import { limitText, PointLink, StateMark, textOf } from "./cells";
import { EVENTS, KINDS, PRIORITIES } from "./filter";
import { words } from "./words";

const t = translator(words);
const LIMIT = 100;
const EXPORTED = 10_000;
const NAMES = ["device", "priority", "kind", "event", "since", "until", "alarm"] as const;

export function AlarmHistory({ query }: { query: URLSearchParams }) {
  const filter = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""])) as Record<(typeof NAMES)[number], string>;
  const set = (change: Partial<typeof filter>): void => setQuery({ ...filter, ...change });
  const pathOf = (limit: number): string => {
    const { device, ...others } = filter;
    return withQuery("/api/v2/alarms/history", { device_id: device, ...others, limit });
  };
  const { rows, problem, more, busy, older, reload } = usePaged<AlarmStep>(pathOf(LIMIT));
  const [saving, setSaving] = useState(false);
  const save = async (): Promise<void> => {
    setSaving(true);
    try {
      const { rows: found, next } = await readPage<AlarmStep>(pathOf(EXPORTED));
      saveText("alarm-history.csv", csv(found), "text/csv");
      if (next) toast(t("exporting"));
    } catch (error) {
      toast(error instanceof Problem ? error.message : String(error));
    }
    setSaving(false);
  };
  const all: readonly (readonly [string, string])[] = [["", textOf("s:", "all")]];
  const filtered = NAMES.some((name) => filter[name]);
  return (
    <>
      <Filters label={t("filters")} active={Object.values(filter).filter(Boolean).length}>
        <ChooseDevice label={t("device")} value={filter.device} onChange={(device) => set({ device })} />
        <Choose label={t("priority")} value={filter.priority} onChange={(priority) => set({ priority })} options={[...all, ...PRIORITIES.map((word) => [word, named(word)] as const)]} />
        <Choose label={t("kind")} value={filter.kind} onChange={(kind) => set({ kind })} options={[...all, ...KINDS.map((word) => [word, textOf("k:", word)] as const)]} />
        <Choose label={t("event")} value={filter.event} onChange={(event) => set({ event })} options={[...all, ...EVENTS.map((word) => [word, textOf("e:", word)] as const)]} />
        <Moment label={t("since")} value={filter.since} onChange={(since) => set({ since })} />
        <Moment label={t("until")} value={filter.until} onChange={(until) => set({ until })} />
      </Filters>
      <div class="row">
        {filter.alarm && <button type="button" class="button small" onClick={() => set({ alarm: "" })}>{t("ofAlarm", { id: filter.alarm })} ✕</button>}
        <button type="button" class="button small" onClick={reload} disabled={busy}>{t("reload")}</button>
        <button type="button" class="button small" onClick={() => void save()} disabled={saving || !rows?.length}>{t("csv")}</button>
        <CurlButton request={() => ({ method: "GET", path: pathOf(LIMIT) })} />
      </div>
      <ProblemNotice problem={problem} retry={reload} />
      {!rows && !problem && <Loading />}
      {rows?.length === 0 && (
        <div class="alarms-empty muted" role="status">
          <p>{t(filtered ? "noHistoryMatch" : "noHistory")}</p>
          {filtered && <div><button type="button" class="button" onClick={() => setQuery({})}>{t("clear")}</button></div>}
        </div>
      )}
      {rows && rows.length > 0 && (
        <table role="table" class="alarms-table history" aria-label={t("history")}>
          <thead role="rowgroup">
            <tr role="row">{(["time", "event", "priority", "point", "value", "message", "who", "after"] as const).map((name) => <th role="columnheader" key={name}>{t(name)}</th>)}</tr>
          </thead>
          <tbody role="rowgroup">{rows.map((step) => <Step key={step.id} step={step} />)}</tbody>
        </table>
      )}
      {more && <div><button type="button" class="button" disabled={busy} onClick={older}>{t("older")}</button></div>}
    </>
  );
}

function Step({ step }: { step: AlarmStep }) {
  const unit = points.value.get(pointId(step))?.unit ?? "";
  const limit = limitText(step.kind, step.limit, unit);
  return (
    <tr role="row">
      <td role="cell" class="alarms-raised"><time dateTime={step.time}>{exactText(step.time)}</time></td>
      <td role="cell" class="alarms-is"><strong>{textOf("e:", step.event)}</strong></td>
      <td role="cell" class="alarms-priority">{step.event === "raise" ? <Priority priority={step.priority} /> : <span class="muted">{named(step.priority)}</span>}</td>
      <td role="cell" class="alarms-point"><PointLink of={step} /></td>
      <td role="cell" class="alarms-value">
        <span class="value">{valueText(step.value)}{unit && <span class="unit">{unit}</span>}</span> <QualityMark quality={step.quality} />
        {limit && <div class="muted alarms-where">{t("limit")} {limit}</div>}
      </td>
      <td role="cell" class="alarms-message wrap-anywhere">
        {step.warn_msg && <div>{step.warn_msg}</div>}
        <div class="muted alarms-where">{textOf("k:", step.kind)}</div>
      </td>
      <td role="cell" class="alarms-who wrap-anywhere">
        {step.user} {step.note}
        {step.until && <div class="muted">{t("untilTime", { time: exactText(step.until) })}</div>}
      </td>
      <td role="cell" class="alarms-after muted"><StateMark state={step.state} /></td>
    </tr>
  );
}

function csv(rows: readonly AlarmStep[]): string {
  const head = ["time", "event", "state", "priority", "device_id", "term_id", "item_id", "kind", "value", "quality", "limit", "warn_msg", "user", "note", "until"] as const;
  const cells = rows.map((row) =>
    head.map((name) => (name === "quality" ? (row.quality === "good" ? "good" : row.quality.join(" ")) : row[name])),
  );
  return csvOf(head, cells);
}
