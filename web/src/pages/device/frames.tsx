// The protocol frames of a device as they are sent and received, in bytes and in words.
import { useEffect, useState } from "preact/hooks";
import { get } from "../../api/client";
import type { Device, FrameList } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { may } from "../../state/session";
import { saveText } from "../../ui/copy";
import { CurlButton } from "../../ui/curl";
import { Loading, ProblemNotice } from "../../ui/loading";
import { useCoarse, useNarrow } from "../../ui/media";
import { usePolled } from "../../ui/poll";
import { VirtualTable } from "../../ui/table";
import { asText, merged, selected, type Direction, type Kept } from "./frame-list";
import { FrameHead, FramePanel, FrameRow, FRAME_COLUMNS } from "./frame-row";
import { FramesOff, FramesStop } from "./frame-switch";
import { framesPath } from "./paths";
import { words } from "./words";

const t = translator(words);

const EVERY = 1000; // milliseconds
const FIRST = 1000; // frames asked for at first
const MORE = 300; // and then; when more came in a second the page says that some are missing
const DIRECTIONS: readonly Direction[] = ["all", "sent", "received", "note"];

export function FramesTab({ device }: { device: Device }) {
  if (device.link.state === "virtual") return <p class="muted">{t("framesVirtual")}</p>;
  if (!device.enabled) return <p class="muted">{t("framesDisabled")}</p>;
  return <Frames key={device.id} device={device} />;
}

function Frames({ device }: { device: Device }) {
  const [kept, setKept] = useState<readonly Kept[]>([]);
  const [paused, setPaused] = useState(false);
  const path = framesPath(device.id);
  const limit = kept.length ? MORE : FIRST;
  const read = (signal: AbortSignal): Promise<FrameList> => get<FrameList>(`${path}?limit=${limit}`, signal);
  const { data, problem, reload } = usePolled(read, paused ? "" : `${path}?limit=${limit}`, EVERY);
  useEffect(() => {
    if (data) setKept((before) => merged(before, data.frames));
  }, [data]);
  const [size, setSize] = useState<number | null>(null);
  useEffect(() => {
    if (data) setSize(data.size);
  }, [data]);

  return (
    <>
      <ProblemNotice problem={problem} retry={reload} />
      {size === null && !problem && <Loading />}
      {size === 0 && <FramesOff device={device} onDone={reload} />}
      {(size || kept.length > 0) && (
        <FrameView device={device} path={path} kept={kept} paused={paused} setPaused={setPaused} />
      )}
      {Boolean(size) && may("admin") && <FramesStop device={device} onDone={reload} />}
    </>
  );
}

interface ViewProps {
  device: Device;
  path: string;
  kept: readonly Kept[];
  paused: boolean;
  setPaused: (paused: boolean) => void;
}

function FrameView({ device, path, kept: all, paused, setPaused }: ViewProps) {
  const [text, setText] = useState("");
  const [direction, setDirection] = useState<Direction>("all");
  const [chosen, setChosen] = useState<Kept | null>(null);
  const [cleared, setCleared] = useState(0); // key of the last frame that is not to be seen any more
  const kept = all.filter(({ key }) => key > cleared);
  const narrow = useNarrow();
  const shown = selected(kept, text, direction).reverse();
  const coarse = useCoarse();
  const rowHeight = narrow ? 68 : coarse ? 48 : 34;
  return (
    <>
      <div class="row device-tools">
        <input
          type="search"
          aria-label={t("frameFilter")}
          placeholder={t("frameHint")}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <select
          aria-label={t("direction")}
          value={direction}
          onChange={(event) => setDirection(event.currentTarget.value as Direction)}
        >
          {DIRECTIONS.map((name) => <option key={name} value={name}>{t(name === "note" ? "noteFrame" : name)}</option>)}
        </select>
        <button type="button" class="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          <span aria-hidden="true">{paused ? "▶" : "❚❚"}</span> {t(paused ? "resume" : "pause")}
        </button>
        <button type="button" class="button" disabled={!shown.length} onClick={() => saveText(`${device.id}-frames.txt`, asText([...shown].reverse()))}>
          {t("exportFrames")}
        </button>
        <button type="button" class="button" onClick={() => { setCleared(all.at(-1)?.key ?? 0); setChosen(null); }}>{t("clear")}</button>
        <CurlButton request={() => ({ method: "GET", path: `${path}?limit=${FIRST}` })} />
        <span class="muted number">
          {t("kept", { shown: shown.length, all: kept.length })}{paused && ` · ${t("paused")}`}
        </span>
      </div>
      {chosen && <FramePanel kept={chosen} onClose={() => setChosen(null)} />}
      {!kept.length && <p class="muted" role="status">{t("waiting")}</p>}
      {kept.length > 0 && !shown.length && <p class="muted">{t("noFrameMatch")}</p>}
      {shown.length > 0 && (
        <div class={`device-frames ${narrow ? "device-cards" : ""}`}>
          <VirtualTable
            label={t("framesTable", { name: device.name || device.id })}
            rows={shown}
            rowKey={({ key }) => String(key)}
            rowHeight={rowHeight}
            height={`min(${shown.length * rowHeight + (narrow ? 2 : 38)}px, max(340px, 100dvh - 200px))`}
            columns={narrow ? FRAME_COLUMNS.card : FRAME_COLUMNS.wide}
            rowClass={(row) => `${row.gap ? "device-gap" : ""} ${row.key === chosen?.key ? "device-found" : ""}`}
            head={<FrameHead />}
            renderRow={(row) => <FrameRow kept={row} open={setChosen} />}
          />
        </div>
      )}
    </>
  );
}
