// One frame: in a row, and with all its bytes.
import type { Frame } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { clockText, exactText } from "../../state/time";
import { spaced, type Kept } from "./frame-list";
import { words } from "./words";

const t = translator(words);

export const FRAME_COLUMNS = {
  card: "auto minmax(0, 1fr)",
  wide: "128px 108px minmax(0, 3fr) minmax(0, 2fr)",
};

const ARROWS = { sent: "→", received: "←", note: "·" };

function Way({ direction }: { direction: Frame["direction"] }) {
  return (
    <span class="mark">
      <span aria-hidden="true">{ARROWS[direction]}</span> {t(direction === "note" ? "noteFrame" : direction)}
    </span>
  );
}

export function FrameHead() {
  return (
    <>
      <div role="columnheader">{t("time")}</div>
      <div role="columnheader">{t("direction")}</div>
      <div role="columnheader">{t("content")}</div>
      <div role="columnheader">{t("bytes")}</div>
    </>
  );
}

/** Seconds with milliseconds; the panel has the whole time. */
const shortTime = (time: string): string => `${clockText(time)}.${time.slice(20, 23)}`;

export function FrameRow({ kept, open }: { kept: Kept; open: (kept: Kept) => void }) {
  const { frame, gap } = kept;
  return (
    <>
      <div role="cell"><time dateTime={frame.time}>{shortTime(frame.time)}</time></div>
      <div role="cell"><Way direction={frame.direction} /></div>
      <div role="cell" class="device-frame-text">
        {gap && <span class="tag medium" title={t("gap")}><span aria-hidden="true">▲</span><span class="hidden-text">{t("gap")}</span></span>}
        <button type="button" class="device-frame-open" onClick={() => open(kept)}>{frame.text}</button>
      </div>
      <div role="cell" class="mono muted device-frame-hex">{spaced(frame.hex)}</div>
    </>
  );
}

export function FramePanel({ kept, onClose }: { kept: Kept; onClose: () => void }) {
  const { frame, gap } = kept;
  return (
    <section class="card stack" aria-label={t("frame")}>
      <div class="row spread">
        <span class="row">
          <Way direction={frame.direction} /> <time dateTime={frame.time}>{exactText(frame.time)}</time>
          {frame.hex && <span class="muted">{t("nBytes", { count: frame.hex.length / 2 })}</span>}
        </span>
        <button type="button" class="button quiet small" aria-label={t("close")} onClick={onClose}>✕</button>
      </div>
      {gap && <span class="muted">▲ {t("gap")}</span>}
      <span class="wrap-anywhere">{frame.text}</span>
      {frame.hex && <code class="device-hex">{spaced(frame.hex)}</code>}
    </section>
  );
}
