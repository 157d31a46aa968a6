// Checks what would be imported, again whenever it changes. One check at a time: the server takes no second import
// while one is under way.
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem, send, withQuery, type Request } from "../../../api/client";
import type { ImportAnswer } from "../../../api/types";
import { MEDIA, type Format } from "./source";

export type Mode = "merge" | "replace";

/** Milliseconds without a change before the server is asked. */
const PAUSE = 400;

export function importRequest(format: Format, text: string, mode: Mode, dryRun: boolean, file: string): Request {
  return {
    method: "POST",
    path: withQuery("/api/v2/import", { mode, ...(dryRun ? { dry_run: true } : {}) }),
    raw: text,
    file,
    headers: { "Content-Type": MEDIA[format] },
  };
}

export async function runImport(request: Request): Promise<ImportAnswer> {
  return (await (await send(request)).json()) as ImportAnswer;
}

export interface Checked {
  /** What was checked; null before the first answer. */
  source: unknown;
  mode: Mode;
  answer: ImportAnswer | null;
  problem: string;
}

/**
 * The answer for the newest document; while one is awaited the older one stays.
 *
 * `source` is another object (or text) whenever the document is another one; `write` makes its text, which is done when
 * the typing pauses, not at every key stroke.
 */
export function useDryRun(
  format: Format,
  source: unknown,
  write: () => string,
  mode: Mode,
  file: string,
): Checked & { fresh: boolean; again: () => void } {
  const [checked, setChecked] = useState<Checked>({ source: null, mode, answer: null, problem: "" });
  const [turn, setTurn] = useState(0);
  const running = useRef<Promise<void>>(Promise.resolve());
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      running.current = running.current.then(async () => {
        if (!wanted) return;
        let next: Checked;
        try {
          next = { source, mode, answer: await runImport(importRequest(format, write(), mode, true, file)), problem: "" };
        } catch (error) {
          next = { source, mode, answer: null, problem: error instanceof Problem ? error.message : String(error) };
        }
        if (wanted) setChecked(next);
      });
    }, checked.source === null ? 0 : PAUSE);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [format, source, mode, turn]);
  const again = (): void => setTurn((before) => before + 1);
  return { ...checked, fresh: checked.source === source && checked.mode === mode, again };
}
