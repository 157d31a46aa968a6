// Several copies of a device at once: a table of ids, names and addresses.
import { useState } from "preact/hooks";
import { post, Problem } from "../../api/client";
import type { KindCounts } from "../../api/types";
import { translator } from "../../i18n/i18n";
import { go, href } from "../../routes";
import { devices } from "../../state/plant";
import { CurlButton } from "../../ui/curl";
import { ProblemNotice } from "../../ui/loading";
import { toast } from "../../ui/toast";
import { bodyOf, suggested, type Copy } from "./copies";
import { countsText } from "./counts";
import { textOf } from "./draft";
import { labelOf } from "./labels";
import { refresh } from "./store";
import { words } from "./words";

const t = translator(words);
const COLUMNS = ["id", "name", "ip", "port"] as const;
const MOST = 500;

export function Clone({ id }: { id: string }) {
  const device = devices.value.get(id);
  const original: Copy = {
    id,
    name: device?.name ?? "",
    ip: textOf(device?.["ip"]),
    port: textOf(device?.["port"]),
  };
  const fill = (count: number): Copy[] => suggested(original, count, (one) => devices.peek().has(one));
  const [copies, setCopies] = useState<Copy[]>(() => fill(1));
  const [count, setCount] = useState("1");
  const [problem, setProblem] = useState("");
  const [errors, setErrors] = useState<ReadonlyMap<string, string>>(new Map());
  const [busy, setBusy] = useState(false);
  const path = `/api/v2/devices/${encodeURIComponent(id)}/clone`;
  const set = (index: number, column: keyof Copy, text: string): void => {
    setCopies(copies.map((copy, place) => (place === index ? { ...copy, [column]: text } : copy)));
    setErrors(new Map([...errors].filter(([key]) => key !== `${index}/${column}`)));
  };
  const make = async (): Promise<void> => {
    setBusy(true);
    setProblem("");
    setErrors(new Map());
    try {
      const { created } = await post<{ created: KindCounts }>(path, bodyOf(copies));
      toast(t("cloned", { counts: countsText(created) }));
      await refresh();
      go(href("model", ["device", copies[0]?.id.trim() ?? id]));
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error));
      if (error instanceof Problem) setErrors(new Map(error.errors.map((one) => [`${one.index ?? 0}/${one.field}`, one.message])));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      class="stack"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <h2>{t("cloneTitle", { key: id })}</h2>
      <p class="muted">{t("cloneText", { key: device?.name || id })}</p>
      <div class="row model-bottom">
        <label class="field">
          <span class="label">{t("count")}</span>
          <input type="number" min="1" max={MOST} value={count} onInput={(event) => setCount(event.currentTarget.value)} />
        </label>
        <button
          type="button"
          class="button"
          onClick={() => {
            setErrors(new Map());
            setCopies(fill(Math.max(1, Math.min(MOST, Number(count) || 1))));
          }}
        >
          {t("fill")}
        </button>
      </div>
      <div class="scroll-x">
        <table class="model-copies">
          <thead>
            <tr><th class="number">#</th>{COLUMNS.map((name) => <th key={name}>{labelOf(name)}</th>)}<th><span class="hidden-text">{t("action")}</span></th></tr>
          </thead>
          <tbody>
            {copies.map((copy, index) => (
              <tr key={index}>
                <td class="number muted">{index + 1}</td>
                {COLUMNS.map((name) => {
                  const error = errors.get(`${index}/${name}`);
                  return (
                    <td key={name}>
                      <input
                        type="text"
                        autocomplete="off"
                        spellcheck={false}
                        aria-label={`${t("copyNumber", { n: index + 1 })}: ${labelOf(name)}`}
                        aria-invalid={error !== undefined}
                        placeholder={name === "id" ? "" : original[name]}
                        value={copy[name]}
                        onInput={(event) => set(index, name, event.currentTarget.value)}
                      />
                      {error && <div class="error-text" role="alert">{error}</div>}
                    </td>
                  );
                })}
                <td>
                  <button
                    type="button"
                    class="button quiet"
                    aria-label={`${t("remove")}: ${t("copyNumber", { n: index + 1 })}`}
                    disabled={copies.length === 1}
                    onClick={() => {
                      setErrors(new Map());
                      setCopies(copies.filter((_, place) => place !== index));
                    }}
                  >
                    ✕
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ProblemNotice problem={problem} />
      <div class="model-foot row">
        <button type="submit" class="button primary" disabled={busy}>{copies.length === 1 ? t("doCloneOne") : t("doClone", { count: copies.length })}</button>
        <button type="button" class="button" onClick={() => setCopies([...copies, { id: "", name: "", ip: "", port: "" }])}>{t("addCopy")}</button>
        <CurlButton request={() => ({ method: "POST", path, body: bodyOf(copies) })} />
      </div>
    </form>
  );
}
