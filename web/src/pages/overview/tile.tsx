// One device on the overview.
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { LinkMark, Priority } from "../../ui/marks";
import { numberText } from "../../ui/number";
import { isLost, type Tile } from "./tiles";
import { words } from "./words";

const t = translator(words);

/** Which edge the tile has; the marks in it say the same in words. */
function edgeOf(tile: Tile): string {
  if (tile.rank < 0) return "out";
  if (isLost(tile.enabled, tile.link)) return "lost";
  if (tile.priority) return tile.unacknowledged ? tile.priority : "active";
  return tile.rank === 0 ? "" : tile.bad ? "bad" : "stale";
}

export function DeviceTile({ tile }: { tile: Tile }) {
  const lost = isLost(tile.enabled, tile.link);
  return (
    <a class={`overview-tile ${edgeOf(tile)}`} href={href("device", [tile.id])}>
      <strong class="overview-name" title={tile.name}>{tile.name || tile.id}</strong>
      <span class="overview-tile-head">
        <span class="muted overview-line">{tile.id} · {tile.protocol}</span>
        <LinkMark state={tile.enabled ? tile.link.state : "disabled"} />
      </span>
      <span class="overview-marks"><Marks tile={tile} /></span>
      {lost && tile.link.last_error ? (
        <span class="overview-line" title={tile.link.last_error}>{tile.link.last_error}</span>
      ) : (
        <span class="muted overview-line number">
          {tile.points === null ? "—" : t("nPoints", { count: numberText(tile.points) })}
          {tile.valuesPerSecond !== null && ` · ${t("nRate", { rate: numberText(tile.valuesPerSecond) })}`}
        </span>
      )}
    </a>
  );
}

function Marks({ tile }: { tile: Tile }) {
  if (tile.rank === 0) return <span class="muted">{tile.counted ? t("normal") : "—"}</span>;
  const counts = tile.enabled; // values of a device out of service are old on purpose
  return (
    <>
      {tile.priority && (
        <span class="mark">
          <Priority priority={tile.priority} />
          {tile.unacknowledged > 0 ? t("nUnacknowledged", { count: tile.unacknowledged }) : t("nActive", { count: tile.active })}
        </span>
      )}
      {counts && tile.bad > 0 && <span class="tag bad"><span aria-hidden="true">✕</span> {t("nBad", { count: tile.bad })}</span>}
      {counts && tile.stale > 0 && <span class="tag stale"><span aria-hidden="true">◌</span> {t("nStale", { count: tile.stale })}</span>}
      {tile.rank < 0 && <span class="muted">{t("outOfService")}</span>}
    </>
  );
}
