// Read something again and again while it is looked at.
import { useCallback, useEffect, useState } from "preact/hooks";
import { Problem } from "../api/client";
import type { Loaded } from "./loading";

interface State<T> {
  key: string;
  data: T | null;
  problem: string;
}

/**
 * Read when `key` changes, and `every` milliseconds after the last answer as long as the page is visible. The older
 * answer stays when the next does not come; that of another `key` does not. With "" nothing is read.
 */
export function usePolled<T>(read: (signal: AbortSignal) => Promise<T>, key: string, every: number): Loaded<T> {
  const [state, setState] = useState<State<T>>({ key, data: null, problem: "" });
  const [turn, setTurn] = useState(0);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
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
      if (!controller.signal.aborted && document.visibilityState === "visible") timer = setTimeout(() => void ask(), every);
    };
    const wake = (): void => {
      if (document.visibilityState === "visible") reload();
    };
    void ask();
    addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    return () => {
      controller.abort();
      clearTimeout(timer);
      removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [key, every, turn]);
  return state.key === key ? { data: state.data, problem: state.problem, reload } : { data: null, problem: "", reload };
}
