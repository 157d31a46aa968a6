// Addresses that a station sends and nobody has configured: to see, and to take into the model.
import { useState } from "preact/hooks";
import { get, Problem, send, type Request } from "../../api/client";
import type { Device, Discovered } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { href } from "../../routes";
import { may } from "../../state/session";
import { timeText } from "../../state/time";
import { saveBlob } from "../../ui/copy";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { valueText } from "../../ui/format";
import { Loading, ProblemNotice, useLoaded } from "../../ui/loading";
import { QualityMark } from "../../ui/marks";
import { discoveredPath } from "./paths";
import { words } from "./words";

const t = translator(words);
const MOST = 1000; // rows shown; the table to save has all

export function DiscoveredDialog({ device, onClose }: { device: Device; onClose: () => void }) {
  const path = discoveredPath(device.id);
  const { data, problem, reload } = useLoaded((signal) => get<Discovered[]>(`${path}?limit=${MOST}`, signal), path);
  const [saving, setSaving] = useState("");
  const table: Request = { method: "GET", path: `${path}?format=csv`, headers: { Accept: "text/csv" } };
  const save = async (): Promise<void> => {
    setSaving("");
    try {
      saveBlob(`${device.id}.csv`, await (await send(table)).blob());
    } catch (error) {
      setSaving(error instanceof Problem ? error.message : String(error));
    }
  };
  return (
    <Dialog wide title={t("discoveredTitle", { name: device.name || device.id })} onClose={onClose}>
      <ProblemNotice problem={problem || saving} />
      {!data && !problem && <Loading />}
      {data && !data.length && <p class="muted">{t("discoveredNone")}</p>}
      {data && data.length > 0 && <Rows rows={data} />}
      {data && data.length > 0 && may("admin") && (
        <p class="muted">{t("importHow")} <a href={href("model", ["import"])} onClick={onClose}>{t("model")}</a></p>
      )}
      <div class="dialog-foot">
        <CurlButton request={() => table} />
        <button type="button" class="button" onClick={reload}>{t("refresh")}</button>
        {data && data.length > 0 && (
          <button type="button" class="button primary" onClick={() => void save()}>{t("saveTable")}</button>
        )}
      </div>
    </Dialog>
  );
}

function Rows({ rows }: { rows: readonly Discovered[] }) {
  return (
    <div class="scroll-x" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th>{t("term")}</th><th class="number">{t("address")}</th><th>{t("type")}</th><th class="number">{t("value")}</th>
            <th>{t("state")}</th><th>{t("time")}</th><th>{t("cause")}</th><th class="number">{t("count")}</th><th>{t("note")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.address}/${row.protocol_code}/${row.code_type}`}>
              <td>{row.term_id ?? row.address}</td><td class="number">{row.protocol_code}</td><td>{row.code_type}</td>
              <td class="number">{valueText(row.value)}</td><td><QualityMark quality={row.quality} always /></td>
              <td>{timeText(row.time)}</td><td>{row.cause}</td><td class="number">{row.count}</td><td>{row.note}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
