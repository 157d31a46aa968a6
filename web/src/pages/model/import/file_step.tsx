// First step: choose, drop or paste.
import { useState } from "preact/hooks";
import { translator } from "../../../i18n/i18n";
import { words } from "./words";

const t = translator(words);

export interface Chosen {
  name: string;
  bytes: Uint8Array;
}

interface FileStepProps {
  take: (chosen: Chosen) => void;
  problem: string;
}

export function FileStep({ take, problem }: FileStepProps) {
  const [over, setOver] = useState(false);
  const [pasted, setPasted] = useState("");
  const read = async (file: File | null | undefined): Promise<void> => {
    if (file) take({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  };
  return (
    <div class="stack">
      <p class="muted">{t("fileText")}</p>
      <label
        class={`import-drop ${over ? "over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void read(event.dataTransfer?.files[0]);
        }}
      >
        <span>{t("drop")}</span>
        <input
          type="file"
          aria-label={t("choose")}
          accept=".csv,.tsv,.txt,.json,.yaml,.yml"
          onChange={(event) => void read(event.currentTarget.files?.[0])}
        />
      </label>
      {problem && <p class="error-text" role="alert">{problem}</p>}
      <label class="field">
        <span class="label">{t("paste")}</span>
        <textarea rows={5} class="mono" spellcheck={false} value={pasted} onInput={(event) => setPasted(event.currentTarget.value)} />
      </label>
      <div>
        <button
          type="button"
          class="button"
          disabled={!pasted.trim()}
          onClick={() => take({ name: "", bytes: new TextEncoder().encode(pasted) })}
        >
          {t("usePasted")}
        </button>
      </div>
    </div>
  );
}
