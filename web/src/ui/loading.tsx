// What stands on a page until something was read, and when that did not work.
import { useCallback, useEffect, useState } from "preact/hooks";
import { Problem } from "../api/client";
import { translator } from "../i18n/i18n";
import { words } from "./words";

const t = translator(words);

export interface Loaded<T> {
  data: T | null;
  problem: string;
  reload: () => void;
}

/** Read something when `key` changes; the older answer is kept while the next is awaited. */
export function useLoaded<T>(read: (signal: AbortSignal) => Promise<T>, key: string): Loaded<T> {
  const [state, setState] = useState<{ data: T | null; problem: string }>({ data: null, problem: "" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    read(controller.signal).then(
      (data) => setState({ data, problem: "" }),
      (error: unknown) => {
        if (!controller.signal.aborted)
          setState((before) => ({ ...before, problem: error instanceof Problem ? error.message : String(error) }));
      },
    );
    return () => controller.abort();
  }, [key, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { ...state, reload };
}

export function Loading() {
  return <p class="muted" role="status">{t("loading")}</p>;
}

export function ProblemNotice({ problem, retry }: { problem: string; retry?: () => void }) {
  if (!problem) return null;
  return (
    <div class="notice problem row spread" role="alert">
      <span class="wrap-anywhere">{t("failed", { detail: problem })}</span>
      {retry && <button type="button" class="button small" onClick={retry}>{t("retry")}</button>}
    </div>
  );
}
