// The model as a file. Fetched, not linked, because a link carries no token.
import { useState } from "preact/hooks";
import { Problem, send, type Request } from "../../api/client";
import { translator } from "../../i18n/i18n";
import { saveBlob } from "../../ui/copy";
import { CurlButton } from "../../ui/curl";
import { Dialog } from "../../ui/dialog";
import { ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { words } from "./words";

const t = translator(words);

const FORMS = [
  { name: "csv", file: "model.csv", query: "format=csv" },
  { name: "excel", file: "model.csv", query: "format=csv&dialect=excel" },
  { name: "yaml", file: "model.yaml", query: "format=yaml" },
  { name: "json", file: "model.json", query: "format=json" },
] as const;

export function ExportDialog({ onClose }: { onClose: () => void }) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const request = (query: string): Request => ({ method: "GET", path: `/api/v2/export?${query}`, headers: { Accept: "*/*" } });
  const write = async (query: string, file: string): Promise<void> => {
    setBusy(true);
    setProblem("");
    try {
      saveBlob(file, await (await send(request(query))).blob());
      toast(t("exported", { name: file }));
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("export")} onClose={onClose}>
      {FORMS.map(({ name, file, query }) => (
        <div key={name} class="row spread">
          <button type="button" class="button" disabled={busy} onClick={() => void write(query, file)}>
            {name === "excel" ? t("excel") : name.toUpperCase()}
          </button>
          <CurlButton request={() => request(query)} />
        </div>
      ))}
      <ProblemNotice problem={problem} />
    </Dialog>
  );
}
