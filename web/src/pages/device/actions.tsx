// What one can do with a device: put it in and out of service, interrogate it, see what else it sends.
import { useState } from "preact/hooks";
import { call, Problem, type Request } from "../../api/client";
import type { Device, DeviceStatus } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { readModel } from "../../state/plant";
import { may } from "../../state/session";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { DiscoveredDialog } from "./discovered";
import { unconfigured } from "./facts-of";
import { InterrogateDialog } from "./interrogate";
import { devicePath, statusPath } from "./paths";
import { words } from "./words";

const t = translator(words);

const enabling = ({ id }: Device, enabled: boolean): Request => ({ method: "PATCH", path: devicePath(id), body: { enabled } });

interface ActionsProps {
  device: Device;
  status: DeviceStatus | null;
  /** How many points it has. */
  count: number;
}

export function DeviceActions({ device, status, count }: ActionsProps) {
  const [open, setOpen] = useState<"" | "disable" | "interrogate" | "discovered">("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const close = (): void => setOpen("");
  const enable = async (enabled: boolean): Promise<void> => {
    const { method, path, body } = enabling(device, enabled);
    setBusy(true);
    setProblem("");
    try {
      await call(method, path, body);
      close();
      toast(t(enabled ? "enabledNow" : "disabledNow", { name: device.name || device.id }));
      await readModel();
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const iec104 = device.protocol === "iec104";
  const others = status ? unconfigured(status) : 0;
  return (
    <div class="stack device-actions">
      <div class="row">
        {iec104 && device.enabled && may("operate") && (
          <button type="button" class="button" onClick={() => setOpen("interrogate")}>{t("interrogate")}</button>
        )}
        {iec104 && device.enabled && (
          <button type="button" class="button" onClick={() => setOpen("discovered")}>
            {t("discovered")}{others > 0 && ` (${others})`}
          </button>
        )}
        {may("admin") && (
          <button
            type="button"
            class="button"
            disabled={busy}
            onClick={() => (device.enabled ? setOpen("disable") : void enable(true))}
          >
            {t(device.enabled ? "disable" : "enable")}
          </button>
        )}
        {may("admin") && !device.enabled && <CurlButton request={() => enabling(device, true)} />}
        <CurlButton request={() => ({ method: "GET", path: statusPath(device.id) })} />
      </div>
      {!open && <ProblemNotice problem={problem} />}
      {open === "interrogate" && <InterrogateDialog device={device} onClose={close} />}
      {open === "discovered" && <DiscoveredDialog device={device} onClose={close} />}
      {open === "disable" && (
        <Dialog title={t("disableTitle", { name: device.name || device.id })} onClose={close}>
          <p>{t("disableHow", { count })}</p>
          <ProblemNotice problem={problem} />
          <div class="dialog-foot">
            <CurlButton request={() => enabling(device, false)} />
            <button type="button" class="button" onClick={close}>{t("cancel")}</button>
            <button type="button" class="button primary" disabled={busy} onClick={() => void enable(false)}>{t("disable")}</button>
          </div>
        </Dialog>
      )}
    </div>
  );
}
