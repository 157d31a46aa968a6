// Turns frame logging of a device on and off: its field frame_log.
import { useState } from "preact/hooks";
import { call, Problem, type Request } from "../../api/client";
import type { Device } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { readModel } from "../../state/plant";
import { may } from "../../state/session";
import { CurlButton } from "../../ui/curl";
import { ProblemNotice } from "../../ui/loading";
import { devicePath } from "./paths";
import { words } from "./words";

const t = translator(words);

const KEPT = 1000; // frames

const setting = (device: Device, frame_log: number): Request => ({ method: "PATCH", path: devicePath(device.id), body: { frame_log } });

interface SwitchProps {
  device: Device;
  onDone: () => void;
}

function useSwitch(device: Device, size: number, onDone: () => void) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const change = async (): Promise<void> => {
    const { method, path, body } = setting(device, size);
    setBusy(true);
    setProblem("");
    try {
      await call(method, path, body);
      await readModel();
      onDone();
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return { problem, busy, change };
}

export function FramesOff({ device, onDone }: SwitchProps) {
  const { problem, busy, change } = useSwitch(device, KEPT, onDone);
  return (
    <section class="card stack">
      <p>{t("framesOff")}</p>
      <p class="muted">{t("framesHow")}</p>
      <ProblemNotice problem={problem} />
      {may("admin") ? (
        <div class="row">
          <button type="button" class="button primary" disabled={busy} onClick={() => void change()}>
            {t("framesOn", { count: KEPT })}
          </button>
          <CurlButton request={() => setting(device, KEPT)} />
        </div>
      ) : (
        <p>{t("framesAsk")}</p>
      )}
    </section>
  );
}

export function FramesStop({ device, onDone }: SwitchProps) {
  const { problem, busy, change } = useSwitch(device, 0, onDone);
  return (
    <div class="row">
      <ProblemNotice problem={problem} />
      <button type="button" class="button small" disabled={busy} onClick={() => void change()}>{t("framesStop")}</button>
      <CurlButton request={() => setting(device, 0)} />
    </div>
  );
}
