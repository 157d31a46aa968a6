// The plant in figures, and the health of what collects it.
import type { ComponentChildren } from "preact";
import type { Alarm, HealthView, Overview } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { isActive, isUnacknowledged, rankOf } from "../../state/alarms";
import { Priority } from "../../ui/marks";
import { numberText } from "../../ui/number";
import { isLost, type Tile } from "./tiles";
import { words } from "./words";

const t = translator(words);

interface FigureProps {
  label: string;
  value: number | null | undefined;
  /** Shown before the number when it is abnormal: never colour alone. */
  mark?: ComponentChildren;
  to?: string;
  children?: ComponentChildren;
}

function Figure({ label, value, mark, to, children }: FigureProps) {
  const number = value === null || value === undefined ? "—" : numberText(value);
  return (
    <div class="overview-figure">
      <dt class="muted">{label}</dt>
      <dd>
        {mark} {to ? <a href={to}>{number}</a> : number} {children}
      </dd>
    </div>
  );
}

interface SummaryProps {
  overview: Overview | null;
  tiles: readonly Tile[];
  alarms: readonly Alarm[];
}

export function Summary({ overview, tiles, alarms }: SummaryProps) {
  const lost = tiles.filter((tile) => isLost(tile.enabled, tile.link)).length;
  const ringing = alarms.filter(isUnacknowledged);
  const worst = ringing.reduce<string>((found, { priority }) => (found && rankOf(found) >= rankOf(priority) ? found : priority), "");
  const totals = overview?.totals;
  return (
    <dl class="overview-figures card">
      <Figure label={t("unacknowledged")} value={ringing.length} to={href("alarms")} mark={worst && <Priority priority={worst} />} />
      <Figure label={t("active")} value={alarms.filter(isActive).length} to={href("alarms")} />
      <Figure label={t("devices")} value={tiles.length}>
        {lost > 0 && <span class="tag high"><span aria-hidden="true">✕</span> {lost} {t("lost")}</span>}
      </Figure>
      <Figure label={t("bad")} value={totals?.bad} mark={totals?.bad ? <span class="tag bad" aria-hidden="true">✕</span> : null} />
      <Figure label={t("stale")} value={totals?.stale} mark={totals?.stale ? <span class="tag stale" aria-hidden="true">◌</span> : null} />
      <Figure label={t("points")} value={totals?.points ?? sumOf(tiles)} />
      <Figure label={t("rate")} value={totals?.values_per_second} />
    </dl>
  );
}

function sumOf(tiles: readonly Tile[]): number | null {
  return tiles.reduce<number | null>((sum, { points }) => (sum === null || points === null ? null : sum + points), 0);
}

/** Of a part of the system, as the server calls it: store, manager, archive, or `plugin NAME`. */
function partText(name: string): string {
  if (name === "store" || name === "manager" || name === "archive") return t(name);
  return name.startsWith("plugin ") ? t("plugin", { name: name.slice("plugin ".length) }) : name;
}

const SHAPES = { warning: "▲", error: "✕" };
const CLASSES = { warning: "tag medium", error: "tag critical" };

/** Store, archive, managers, plugins: one grey line while all is well, in words what is not. */
export function HealthList({ health }: { health: readonly HealthView[] }) {
  const well = health.filter(({ state }) => state === "ok");
  return (
    <section aria-labelledby="overview-health" class="overview-health">
      <h2 id="overview-health" class="hidden-text">{t("health")}</h2>
      <ul>
        {health.map(({ name, state, detail }) =>
          state === "ok" ? null : (
            <li key={name}>
              <span class={CLASSES[state]}>
                <span aria-hidden="true">{SHAPES[state]}</span> {partText(name)} {t(state)}
              </span>
              <span class="wrap-anywhere">{detail}</span>
            </li>
          ),
        )}
        {well.length > 0 && (
          <li class="muted overview-well" title={well.map(({ name, detail }) => `${partText(name)}: ${detail}`).join("\n")}>
            <span aria-hidden="true">●</span> {t("ok")}: {well.map(({ name }) => partText(name)).join(", ")}
          </li>
        )}
      </ul>
    </section>
  );
}
