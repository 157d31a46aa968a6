// The points of a device, live.
import { useEffect, useState } from "preact/hooks";
import type { Device, Point } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { latestOf, useGlobs } from "../../live/values";
import { href, setQuery, type Route } from "../../routes";
import { pointId } from "../../state/plant";
import { now } from "../../state/time";
import { Loading } from "../../ui/loading";
import { useCoarse, useMedia, useNarrow } from "../../ui/media";
import { VirtualTable } from "../../ui/table";
import { alarmByPoint } from "./alarm-marks";
import { CallResult, isWaiting, useCall } from "./call";
import { BY_NAME, isAbnormal, matches, sorted, type Order, type Seen } from "./point-list";
import { COLUMNS, PointRow, type Shape } from "./point-row";
import { PointTools, SortHead } from "./point-tools";
import { words } from "./words";

const t = translator(words);

const FIRST = 1500; // milliseconds that the first values may take before a point counts as one without a value

/** Whether values had time to come. */
function useSettled(id: string): boolean {
  const [settled, setSettled] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSettled(id), FIRST);
    return () => clearTimeout(timer);
  }, [id]);
  return settled === id;
}

/** Pixels of a row, and of all that is not rows. */
function useShape(): { shape: Shape; rowHeight: number; rest: number } {
  const narrow = useNarrow();
  const medium = useMedia("(max-width: 1050px)");
  const coarse = useCoarse();
  if (narrow) return { shape: "card", rowHeight: coarse ? 96 : 82, rest: 2 };
  return { shape: medium ? "medium" : "wide", rowHeight: coarse ? 50 : 36, rest: coarse ? 46 : 38 };
}

interface PointsProps {
  device: Device;
  points: readonly Point[];
  route: Route;
}

export function PointsTab({ device, points, route }: PointsProps) {
  useGlobs([`${device.id}:*`]);
  const { shape, rowHeight, rest } = useShape();
  const settled = useSettled(device.id);
  const [order, setOrder] = useState<Order>(BY_NAME);
  const [text, setText] = useState("");
  const { called, ask, forget } = useCall();
  const find = route.query.get("find") ?? "";
  const abnormal = route.query.get("abnormal") === "1";
  useEffect(() => setText(""), [find]);
  const choose = (only: boolean): void => setQuery({ find, abnormal: only ? "1" : "" });

  // What depends on values is chosen anew every second; rows show theirs as they come.
  if (abnormal || order.column !== "name") void now.value;
  const alarms = alarmByPoint.value;
  const seen: Seen[] = points
    .filter((point) => matches(point, text))
    .map((point) => {
      const id = pointId(point);
      return { point, id, sample: latestOf(id).peek(), alarm: alarms.get(id) };
    });
  const waiting = abnormal && !settled && !seen.some(({ sample }) => sample);
  const shown = sorted(abnormal ? seen.filter(isAbnormal) : seen, order);
  const onCall = device.enabled && device.link.state !== "virtual" ? ask : undefined;
  const busy = isWaiting(called);

  if (!points.length) return <p class="muted">{t("noPoints")} <a href={href("model", ["device", device.id])}>{t("model")}</a>.</p>;
  return (
    <>
      <PointTools {...{ text, setText, abnormal, choose, order, setOrder }} cards={shape === "card"} shown={shown.length} all={points.length} />
      {called && <CallResult called={called} onClose={forget} />}
      {waiting && <Loading />}
      {!waiting && !shown.length && (
        <div class="row">
          <span class="muted">{abnormal && !text ? t("allNormal") : t("noMatch")}</span>
          <button type="button" class="button small" onClick={() => { setText(""); choose(false); }}>{t("showAll")}</button>
        </div>
      )}
      {!waiting && shown.length > 0 && (
        <div class={`device-points ${shape === "card" ? "device-cards" : ""}`}>
          <VirtualTable
            key={device.id}
            label={t("table", { name: device.name || device.id })}
            rows={shown}
            rowKey={(row) => row.id}
            rowHeight={rowHeight}
            height={`min(${shown.length * rowHeight + rest}px, max(340px, 100dvh - 200px))`}
            columns={COLUMNS[shape]}
            show={find}
            rowClass={(row) => (row.id === find ? "device-found" : "")}
            head={<SortHead shape={shape} order={order} setOrder={setOrder} />}
            renderRow={({ point, id }) => <PointRow point={point} id={id} shape={shape} onCall={onCall} busy={busy} />}
          />
        </div>
      )}
    </>
  );
}
