// What became of it, and what the audit trail has of it.
import { get, withQuery } from "../api/client";
import type { AuditEntry, Point } from "../api/types";
import { translator } from "../i18n/i18n";
import { href } from "../routes";
import { exactText } from "../state/time";
import { CurlButton } from "../ui/curl";
import { Loading, ProblemNotice, useLoaded } from "../ui/loading";
import { QualityMark } from "../ui/marks";
import { knowledgeOf, mayRepeat, requestOf, type Command, type Outcome } from "./command";
import type { Range } from "./range";
import { stateText } from "./shown";
import { words } from "./words";

const t = translator(words);

interface ResultProps {
  command: Command;
  outcome: Outcome;
  /** When it was sent first, milliseconds by the clock of the server. */
  began: number;
  /** Whether it is the outcome of a further try. */
  repeated: boolean;
  point: Point;
  range: Range;
  onAgain: () => void;
  onChange: () => void;
  onClose: () => void;
  closeText: string;
}

export function Result({ command, outcome, began, repeated, point, range, onAgain, onChange, onClose, closeText }: ResultProps) {
  const { answer, problem } = outcome;
  const body = (problem?.body ?? {}) as { command_id?: string; outcome?: string };
  const commandId = answer?.command_id ?? body.command_id ?? "";
  const told = answer?.outcome ?? body.outcome;
  return (
    <div class="stack">
      {answer ? (
        <div class="notice control-done" role="status">
          <strong>✓ {t("confirmed", { value: stateText(range.kind, answer.value, point.unit, range.kind === "step") })}</strong>{" "}
          <QualityMark quality={answer.quality} />
        </div>
      ) : (
        <div class="notice problem" role="alert">
          <strong>✕ {t(`h:${knowledgeOf(problem.status, repeated)}`)}.</strong> <span class="wrap-anywhere">{problem.status > 0 && `${problem.status}: `}{problem.message}</span>
          {problem.errors.map((error) => <div key={error.field} class="wrap-anywhere">{error.field}: {error.message}</div>)}
          <div>{t(`n:${knowledgeOf(problem.status, repeated)}`)}</div>
        </div>
      )}
      <dl class="control-target">
        {answer && <><dt>{t("time")}</dt><dd>{exactText(answer.time)}</dd></>}
        {told && <><dt>{t("outcome")}</dt><dd>{outcomeText(told)}</dd></>}
        {commandId && <><dt>{t("command")}</dt><dd class="mono wrap-anywhere">{commandId}</dd></>}
      </dl>
      <Audit id={command.id} commandId={commandId} began={began} />
      <div class="dialog-foot">
        <CurlButton request={() => requestOf(command)} />
        {problem && mayRepeat(problem.status, repeated) && <button type="button" class="button" onClick={onAgain}>{t("again")}</button>}
        <button type="button" class="button" onClick={onChange}>{t(answer ? "another" : "change")}</button>
        <button type="button" class="button primary" onClick={onClose}>{closeText}</button>
      </div>
    </div>
  );
}

function outcomeText(word: string): string {
  const key = `o:${word}`;
  return key in words.en ? t(key as keyof typeof words.en) : word;
}

/** Clocks of server and store, and ours, may differ by so much, in milliseconds. */
const CLOCKS = 3000;

/** Entries of the command; when its id never came, what has happened to the point since. */
function Audit({ id, commandId, began }: { id: string; commandId: string; began: number }) {
  const path = withQuery("/api/v2/audit", { action: "ctrl*", object: id, limit: 10 });
  const { data, problem, reload } = useLoaded((signal) => get<AuditEntry[]>(path, signal), `${path} ${commandId}`);
  const entries = (data ?? []).filter((entry) =>
    commandId ? entry.command_id === commandId : Date.parse(entry.time) >= began - CLOCKS,
  );
  return (
    <section class="control-audit">
      <div class="row spread">
        <h3>{t("audit")}</h3>
        <button type="button" class="button quiet small" onClick={reload}>{t("refresh")}</button>
      </div>
      <ProblemNotice problem={problem} retry={reload} />
      {!data && !problem && <Loading />}
      {data && !entries.length && <p class="muted">{t("noAudit")}</p>}
      {entries.map((entry) => (
        <div key={entry.id} class="control-entry wrap-anywhere">
          <time dateTime={entry.time}>{exactText(entry.time)}</time>{" "}
          <span>{entry.user ? t("about", { user: entry.user }) : t("somebody")}</span>{" "}
          <span class="mono">{JSON.stringify(entry.before)} → {JSON.stringify(entry.after)}</span>{" "}
          <strong>{entry.result ?? t("intended")}</strong>
          {entry.reason && <span class="muted"> {entry.reason}</span>}
        </div>
      ))}
      <a href={href("log", ["audit"], { object: id })}>{t("allAudit")}</a>
    </section>
  );
}
