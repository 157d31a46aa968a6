// What happened, newest first; new events appear on top.
import { useEffect, useState } from "preact/hooks";
import { withQuery } from "../../api/client";
import type { LogEvent } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href, setQuery } from "../../routes";
import { devices, events } from "../../state/plant";
import { exactText } from "../../state/time";
import { csvOf } from "../../ui/csv";
import { Choose, ChooseDevice, Filters, Moment, Write } from "../../ui/filters";
import { usePaged } from "../../ui/paged";
import { plainText } from "./diff";
import { hasWords, List, textOf, Tools } from "./parts";
import { EXPORTED, saveList } from "./save";
import { words } from "./words";

const t = translator(words);
const LIMIT = 100;
/** Events that came while the page was open; with more the list is read anew. */
const FRESH = 1000;
const KINDS = ["link", "alarm", "model", "control", "system"] as const;
const NAMES = ["kind", "device", "since", "until", "text"] as const;
type Filter = Record<(typeof NAMES)[number], string>;

export function Events({ query }: { query: URLSearchParams }) {
  const filter = Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""])) as Filter;
  const set = (change: Partial<Filter>): void => setQuery({ ...filter, ...change });
  const pathOf = (limit: number): string =>
    withQuery("/api/v2/log", { device_id: filter.device, kind: filter.kind, since: filter.since, until: filter.until, limit });
  const { rows, problem, more, busy, older, reload } = usePaged<LogEvent>(pathOf(LIMIT));
  const [fresh, setFresh] = useState<readonly LogEvent[]>([]);
  useEffect(
    () =>
      events.subscribe((list) =>
        setFresh((before) => {
          const known = new Set(before.map(({ id }) => id));
          const unseen = list.filter(({ id }) => !known.has(id));
          return unseen.length ? [...unseen, ...before] : before;
        }),
      ),
    [],
  );
  useEffect(() => {
    if (fresh.length > FRESH) {
      setFresh([]);
      reload();
    }
  }, [fresh.length]);
  const loaded = withFresh(rows, fresh.filter((event) => fits(event, filter)));
  const shown = loaded?.filter((event) => hasWords(filter.text, searched(event)));
  return (
    <>
      <Filters label={t("filters")} active={Object.values(filter).filter(Boolean).length}>
        <Choose label={t("kind")} value={filter.kind} onChange={(kind) => set({ kind })} options={[["", t("all")], ...KINDS.map((kind) => [kind, textOf("k:", kind)] as const)]} />
        <ChooseDevice label={t("device")} value={filter.device} onChange={(device) => set({ device })} />
        <Moment label={t("since")} value={filter.since} onChange={(since) => set({ since })} />
        <Moment label={t("until")} value={filter.until} onChange={(until) => set({ until })} />
        <Write label={t("text")} value={filter.text} onChange={(text) => set({ text })} placeholder={t("textHint")} />
      </Filters>
      <Tools
        busy={busy}
        empty={!shown?.length}
        onReload={reload}
        onSave={() => void saveList<LogEvent>("events.csv", pathOf(EXPORTED), (event) => hasWords(filter.text, searched(event)), csv)}
        request={() => ({ method: "GET", path: pathOf(LIMIT) })}
        note={filter.until ? "" : t("live")}
      />
      <List
        label={t("events")}
        rows={loaded}
        shown={shown ?? []}
        row={(event) => <EventRow key={event.id} event={event} />}
        problem={problem}
        reload={reload}
        none={t("noEvents")}
        filtered={NAMES.some((name) => filter[name])}
        searched={Boolean(filter.text)}
        more={more}
        busy={busy}
        older={older}
      />
    </>
  );
}

/** The list with what came after it was read. */
function withFresh(rows: readonly LogEvent[] | null, fresh: readonly LogEvent[]): readonly LogEvent[] | null {
  if (!rows) return null;
  const known = new Set(rows.map(({ id }) => id));
  const newest = rows[0]?.time ?? "";
  const unseen = fresh.filter(({ id, time }) => !known.has(id) && time >= newest);
  return [...unseen.sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0)), ...rows];
}

function fits({ kind, device_id, time }: LogEvent, filter: Filter): boolean {
  const at = Date.parse(time);
  return (
    (!filter.kind || kind === filter.kind) &&
    (!filter.device || device_id === filter.device) &&
    (!filter.since || at >= Date.parse(filter.since)) &&
    (!filter.until || at <= Date.parse(filter.until))
  );
}

const searched = (event: LogEvent): string =>
  `${event.kind} ${event.device_id ?? ""} ${devices.value.get(event.device_id ?? "")?.name ?? ""} ${event.object} ${event.text} ${JSON.stringify(event.details ?? "")}`;

const ORDINARY = new Set(["", "info", "normal", "ok"]);

function EventRow({ event }: { event: LogEvent }) {
  const device = event.device_id === null ? undefined : devices.value.get(event.device_id);
  const all = event.details && typeof event.details === "object" ? Object.entries(event.details) : [];
  const details = all.filter(([, value]) => value !== null && value !== "");
  return (
    <li class="log-event">
      <time dateTime={event.time}>{exactText(event.time)}</time>
      <span class="log-kind muted">{textOf("k:", event.kind)}</span>
      <span class="log-text wrap-anywhere">
        {!ORDINARY.has(event.severity) && <Severity severity={event.severity} />} {event.text}
        {details.length > 0 && (
          <details>
            <summary class="muted">{t("details")}</summary>
            <dl class="log-facts">
              {details.map(([name, value]) => [<dt key={`${name}-`}>{name}</dt>, <dd key={name} class="wrap-anywhere">{plainText(value)}</dd>])}
            </dl>
          </details>
        )}
      </span>
      <span class="log-object wrap-anywhere">
        {device ? <a href={href("device", [device.id])}>{device.name || device.id}</a> : event.device_id}
        {event.object && event.object !== event.device_id && <> <ObjectLink event={event} /></>}
      </span>
    </li>
  );
}

/** Alarms lead to their history, controls to the audit trail of the point. */
function ObjectLink({ event: { kind, object } }: { event: LogEvent }) {
  if (kind === "alarm") return <a class="mono" href={href("alarms", ["history"], { alarm: object })}>{object}</a>;
  if (kind === "control") return <a class="mono" href={href("log", ["audit"], { object })}>{object}</a>;
  return <span class="muted mono">{object}</span>;
}

const TAGS: Record<string, string> = { error: "critical", warning: "medium" };

/** Triangle for a warning, cross for an error; priorities of alarms by their own name. */
function Severity({ severity }: { severity: string }) {
  const grave = severity === "error" || severity === "critical";
  return (
    <span class={`tag ${TAGS[severity] ?? severity}`}>
      <span aria-hidden="true">{grave ? "✕" : "▲"}</span>
      {textOf("s:", severity)}
    </span>
  );
}

function csv(rows: readonly LogEvent[]): string {
  const head = ["id", "time", "kind", "severity", "device_id", "object", "text"] as const;
  return csvOf(
    [...head, "details"],
    rows.map((row) => [...head.map((name) => row[name]), row.details ? JSON.stringify(row.details) : ""]),
  );
}
