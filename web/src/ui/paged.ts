// Long lists, newest first, read page by page: the server names the next page in its `Link` header (RFC 8288).
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Problem, send } from "../api/client";

export interface Slice<T> {
  rows: T[];
  /** Path of the next page; "" when this is the last one. */
  next: string;
}

/** The address of `rel="next"` in a `Link` header; "" when there is none. */
export function nextOf(link: string | null): string {
  return /<([^>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1] ?? "";
}

export async function readPage<T>(path: string, signal?: AbortSignal): Promise<Slice<T>> {
  const response = await send({ method: "GET", path, ...(signal ? { signal } : {}) });
  return { rows: (await response.json()) as T[], next: nextOf(response.headers.get("Link")) };
}

export interface Paged<T> {
  /** null until the first page came. */
  rows: readonly T[] | null;
  problem: string;
  /** Whether there are older ones. */
  more: boolean;
  busy: boolean;
  older: () => void;
  reload: () => void;
}

/** Follow a list; another `path` begins anew. */
export function usePaged<T>(path: string): Paged<T> {
  const [state, setState] = useState<{ rows: T[] | null; next: string }>({ rows: null, next: "" });
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [turn, setTurn] = useState(0);
  const reading = useRef<AbortController | null>(null);

  const read = (from: string, before: readonly T[]): void => {
    reading.current?.abort();
    const controller = new AbortController();
    reading.current = controller;
    setBusy(true);
    readPage<T>(from, controller.signal).then(
      ({ rows, next }) => {
        if (controller.signal.aborted) return;
        setState({ rows: [...before, ...rows], next });
        setProblem("");
        setBusy(false);
      },
      (error: unknown) => {
        if (controller.signal.aborted) return;
        setProblem(error instanceof Problem ? error.message : String(error));
        setBusy(false);
      },
    );
  };
  useEffect(() => {
    read(path, []);
    return () => reading.current?.abort();
  }, [path, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const older = (): void => {
    if (state.next && !busy) read(state.next, state.rows ?? []);
  };
  return { rows: state.rows, problem, more: state.next !== "", busy, older, reload };
}
