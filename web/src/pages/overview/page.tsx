// Overview: all devices, those first that need attention.
import { useRef } from "preact/hooks";
import { get } from "../../api/client";
import type { Overview } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { setQuery } from "../../routes";
import { alarms, alarmsByDevice, devices, loaded, pointsByDevice } from "../../state/plant";
import { now } from "../../state/time";
import { CurlButton } from "../../ui/curl";
import { Loading, ProblemNotice } from "../../ui/loading";
import { usePolled } from "../../ui/poll";
import type { PageProps } from "../pages";
import { Begin } from "./begin";
import { TileGrid } from "./grid";
import "./page.css";
import { HealthList, Summary } from "./summary";
import { hold, inOrder, matching, tileOf, type Held } from "./tiles";
import { words } from "./words";

const t = translator(words);
const PATH = "/api/v2/overview";
const EVERY = 2000; // milliseconds

export default function OverviewPage({ route }: PageProps) {
  const { data, problem, reload } = usePolled((signal) => get<Overview>(PATH, signal), "overview", EVERY);
  const held = useRef<Map<string, Held>>(new Map());
  const text = route.query.get("q") ?? "";
  const abnormal = route.query.get("abnormal") === "1";
  const choose = (q: string, only: boolean): void => setQuery({ q, abnormal: only ? "1" : "" });

  const counts = new Map(data?.devices.map((row) => [row.device_id, row]));
  const tiles = [...devices.value.values()].map((device) =>
    tileOf(
      device,
      counts.get(device.id),
      alarmsByDevice.value.get(device.id) ?? [],
      loaded.value ? (pointsByDevice.value.get(device.id)?.length ?? 0) : (counts.get(device.id)?.points ?? null),
    ),
  );
  held.current = hold(held.current, tiles, now.value); // read here, so that tiles settle without another change
  const shown = inOrder(matching(tiles, text, abnormal), held.current);

  return (
    <>
      <div class="row spread">
        <h1>{t("title")}</h1>
        <CurlButton request={() => ({ method: "GET", path: PATH })} />
      </div>
      <ProblemNotice problem={problem} retry={reload} />
      {!loaded.value && !tiles.length ? (
        <Loading />
      ) : (
        <>
          {tiles.length > 0 && <Summary overview={data} tiles={tiles} alarms={[...alarms.value.values()]} />}
          {data && <HealthList health={data.health} />}
          {tiles.length === 0 && <Begin />}
          {tiles.length > 0 && (
            <div class="row overview-tools">
              <input
                type="search"
                aria-label={t("filter")}
                placeholder={t("filterHint")}
                value={text}
                onInput={(event) => choose(event.currentTarget.value, abnormal)}
              />
              <label class="check">
                <input type="checkbox" checked={abnormal} onChange={(event) => choose(text, event.currentTarget.checked)} />
                {t("onlyAbnormal")}
              </label>
              <span class="muted number" role="status">{t("shown", { shown: shown.length, all: tiles.length })}</span>
            </div>
          )}
          {shown.length > 0 && <TileGrid tiles={shown} />}
          {tiles.length > 0 && !shown.length && (
            <div class="row">
              <span class="muted">{abnormal && !text ? t("allNormal") : t("noMatch")}</span>
              <button type="button" class="button small" onClick={() => choose("", false)}>{t("showAll")}</button>
            </div>
          )}
        </>
      )}
    </>
  );
}
