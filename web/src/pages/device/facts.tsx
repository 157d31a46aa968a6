// The state of a device in a few figures.
import type { ComponentChildren } from "preact";
import type { Device, DeviceStatus } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { ageText, clockText, exactText, now, timeText } from "../../state/time";
import { LinkMark } from "../../ui/marks";
import { numberText } from "../../ui/number";
import { errorKinds, lostValues, reconnects, roundTrip } from "./facts-of";
import { words } from "./words";

const t = translator(words);

function Fact({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div>
      <dt class="muted">{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const count = (value: number | null | undefined): string => (typeof value === "number" ? numberText(value) : "—");

/** How long ago something was; grows every second. */
function Ago({ time }: { time: string }) {
  return <time dateTime={time} title={exactText(time)}>{t("ago", { age: ageText(now.value - Date.parse(time)) })}</time>;
}

/** Without the day when it is today. */
function shortTime(time: string): string {
  const day = (of: string | number): string => timeText(of).replace(clockText(of), "");
  return day(time) === day(now.value) ? clockText(time) : timeText(time);
}

export function Connection({ device }: { device: Device }) {
  const { state, since, last_error } = device.link;
  return (
    <dl class="device-facts">
      <Fact label={t("connection")}>
        <LinkMark state={state} />{" "}
        {since && (
          <time class="muted" dateTime={since} title={exactText(since)}>
            {t("since", { time: shortTime(since), age: ageText(now.value - Date.parse(since)) })}
          </time>
        )}
      </Fact>
      <Fact label={t("service")}>
        <span class={device.enabled ? "mark muted" : "mark"}>
          <span aria-hidden="true">{device.enabled ? "●" : "○"}</span> {t(device.enabled ? "inService" : "outOfService")}
        </span>
      </Fact>
      {last_error && (
        <div class="device-error">
          <dt class="hidden-text">{t("errors")}</dt>
          <dd class="wrap-anywhere">{t("lastError", { detail: last_error })}</dd>
        </div>
      )}
    </dl>
  );
}

export function Figures({ status }: { status: DeviceStatus | null }) {
  if (status?.link.state === "virtual") return null; // nothing to talk to
  if (status && !status.counters) return <p class="muted">{t("notReported")}</p>;
  const trip = status && roundTrip(status);
  const lost = status && lostValues(status);
  const kinds = status ? errorKinds(status) : [];
  return (
    <dl class="device-facts number">
      <Fact label={t("roundTrip")}>{typeof trip === "number" ? `${Number(trip.toPrecision(3))} ms` : "—"}</Fact>
      <Fact label={t("reconnects")}>{count(status && reconnects(status))}</Fact>
      <Fact label={t("read")}>{count(status?.accounting?.read)}</Fact>
      <Fact label={t("lost")}>
        {lost ? <span class="tag bad"><span aria-hidden="true">✕</span> {count(lost)}</span> : count(lost)}
      </Fact>
      <Fact label={t("pending")}>{count(status?.accounting?.pending)}</Fact>
      <Fact label={t("lastSeen")}>{status?.last_seen ? <Ago time={status.last_seen} /> : "—"}</Fact>
      <Fact label={t("errors")}>
        {kinds.length ? (
          <span class="device-errors">{kinds.map(([kind, times]) => <span key={kind} class="tag">{kind} {count(times)}</span>)}</span>
        ) : status ? (
          t("noErrors")
        ) : (
          "—"
        )}
      </Fact>
    </dl>
  );
}
