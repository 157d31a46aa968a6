// Reads a point from the device now, and shows what it answered.
import { useState } from "preact/hooks";
import { call, Problem, type Request } from "../../api/client";
import type { Point, SampleView } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { exactText } from "../../state/time";
import { CurlButton } from "../../ui/curl";
import { valueText } from "../../ui/format";
import { ProblemNotice } from "../../ui/loading";
import { QualityMark } from "../../ui/marks";
import { words } from "./words";

const t = translator(words);

export interface Called {
  point: Point;
  answer: SampleView | null;
  problem: string;
}

const callRequest = ({ device_id, term_id, item_id }: Point): Request => ({
  method: "POST",
  path: "/api/v1/device_call",
  body: { device_id, term_id, item_id },
});

/** The last call of a point, if any, and how to make one. */
export function useCall(): { called: Called | null; ask: (point: Point) => void; forget: () => void } {
  const [called, setCalled] = useState<Called | null>(null);
  const ask = (point: Point): void => {
    const { method, path, body } = callRequest(point);
    setCalled({ point, answer: null, problem: "" });
    call<SampleView>(method, path, body).then(
      (answer) => setCalled({ point, answer, problem: "" }),
      (error: unknown) => setCalled({ point, answer: null, problem: error instanceof Problem ? error.message : String(error) }),
    );
  };
  return { called, ask, forget: () => setCalled(null) };
}

export const isWaiting = (called: Called | null): boolean => called !== null && !called.answer && !called.problem;

export function CallResult({ called, onClose }: { called: Called; onClose: () => void }) {
  const { point, answer, problem } = called;
  const name = point.name || point.item_id;
  return (
    <div class="notice row spread" role="status">
      {problem ? (
        <ProblemNotice problem={`${name}: ${problem}`} />
      ) : answer ? (
        <span class="row">
          {t("called", { name })}
          <strong class="value">{valueText(answer.value)}<span class="unit">{point.unit}</span></strong>
          <QualityMark quality={answer.quality} always />
          <time class="muted" dateTime={answer.time}>{exactText(answer.time)}</time>
        </span>
      ) : (
        <span>{name}: {t("calling")}</span>
      )}
      <span class="row">
        <CurlButton request={() => callRequest(point)} />
        <button type="button" class="button quiet small" aria-label={t("close")} onClick={onClose}>✕</button>
      </span>
    </div>
  );
}
