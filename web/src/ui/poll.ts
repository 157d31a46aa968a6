// Read something again and again while it is looked at.
import { useCallback, useEffect, useState } from "preact/hooks";
import { Problem } from "../api/client";
import type { Loaded } from "./loading";

/**
 * Read when `key` changes, and `every` milliseconds after the last answer as long as the page is visible. The older
 * answer is kept while the next is awaited, or when it does not come; an answer of another `key` is not. "" reads nothing.
 */
export function usePolled<T>(read: (signal: AbortSignal) => Promise<T>, key: string, every: number): Loaded<T> {
  const [state, setState] = useState<{ key: string; data: T | null; problem: string }>({ key, data: null, problem: "" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!key) return undefined;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const data = await read(controller.signal);
        if (!controller.signal.aborted) setState({ key, data, problem: "" });
      } catch (error) {
        const problem = error instanceof Problem ? error.message : String(error);
        if (!controller.signal.aborted)
          setState((before) => ({ key, data: before.key === key ? before.data : null, problem }));
      }
      if (!controller.signal.aborted && document.visibilityState === "visible")
        timer = setTimeout(() => void ask(), every);
      else timer = undefined;
    };
    const look = (): void => {
      if (document.visibilityState !== "visible" || timer === undefined) return;
      clearTimeout(timer);
      void ask();
    };
    const wake = (): void => {
      if (document.visibilityState === "visible") setTurn((before) => before + 1);
    };
    void ask();
    addEventListener("online", look);
    document.addEventListener("visibilitychange", wake);
    return () => {
      controller.abort();
      clearTimeout(timer);
      removeEventListener("online", look);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [key, every, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const current = state.key === key;
  return { data: current ? state.data : null, problem: current ? state.problem : "", reload };
}
