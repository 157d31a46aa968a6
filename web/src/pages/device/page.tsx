// One device: how the way to it is, its points live, its frames, and all that is known of it.
import { get } from "../../api/client";
import type { Device, DeviceStatus } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href, type Route } from "../../routes";
import { devices, loaded, pointsByDevice } from "../../state/plant";
import { Loading, ProblemNotice } from "../../ui/loading";
import { useNarrow } from "../../ui/media";
import { usePolled } from "../../ui/poll";
import type { PageProps } from "../pages";
import { DeviceActions } from "./actions";
import { DetailsTab } from "./details";
import { Connection, Figures } from "./facts";
import { FramesTab } from "./frames";
import "./page.css";
import { statusPath } from "./paths";
import { PointsTab } from "./points";
import { words } from "./words";

const t = translator(words);

const EVERY = 2000; // milliseconds
const TABS = ["points", "frames", "details"] as const;

export default function DevicePage({ route }: PageProps) {
  const id = route.rest[0] ?? "";
  const device = devices.value.get(id);
  if (device) return <DeviceView key={id} device={device} route={route} />;
  if (!loaded.value) return <Loading />;
  return (
    <div class="row">
      <span>{t("unknown", { id })}</span>
      <a href={href("")}>{t("toOverview")}</a>
    </div>
  );
}

function DeviceView({ device, route }: { device: Device; route: Route }) {
  const path = statusPath(device.id);
  const narrow = useNarrow();
  const { data: status, problem, reload } = usePolled((signal) => get<DeviceStatus>(path, signal), path, EVERY);
  const tab = TABS.find((name) => name === route.query.get("tab")) ?? "points";
  const points = pointsByDevice.value.get(device.id) ?? [];
  return (
    <>
      <section class="card stack">
        <div class="row spread device-head">
          <div>
            <h1 class="wrap-anywhere">{device.name || device.id}</h1>
            <span class="muted wrap-anywhere">
              <span class="mono">{device.id}</span> · {device.protocol}
              {device.description && <> · {device.description}</>}
            </span>
          </div>
          <DeviceActions device={device} status={status} count={points.length} />
        </div>
        <div class="device-states">
          <Connection device={device} />
          {!narrow && <Figures status={status} />}
        </div>
        {narrow && (
          <details class="device-more">
            <summary>{t("figures")}</summary>
            <Figures status={status} />
          </details>
        )}
        <ProblemNotice problem={problem} retry={reload} />
      </section>
      <nav class="device-tabs" aria-label={t("tabs")}>
        {TABS.map((name) => (
          <a key={name} href={href("device", [device.id], { tab: name === "points" ? "" : name })} aria-current={name === tab ? "page" : undefined}>
            {t(name)}{name === "points" && loaded.value && ` (${points.length})`}
          </a>
        ))}
      </nav>
      {tab === "points" && (loaded.value ? <PointsTab device={device} points={points} route={route} /> : <Loading />)}
      {tab === "frames" && <FramesTab device={device} />}
      {tab === "details" && <DetailsTab device={device} status={status} />}
    </>
  );
}
