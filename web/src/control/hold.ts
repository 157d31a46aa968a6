// The selection that a dialog holds: at most one, and given up when the dialog or the page is left.
import { useEffect, useRef } from "preact/hooks";
import { cancel, type Held } from "./selection";

export interface Hold {
  take: (held: Held) => void;
  /** It is executed, or over: there is nothing to give up any more. */
  spend: () => void;
  /** Tell the device to forget it. */
  release: () => void;
}

/** `onLeave`: the page was left, and may come back without its selection; `onProblem`: it could not be given up now,
 * and ends by itself. */
export function useHold(id: string, onLeave: () => void, onProblem: (message: string) => void): Hold {
  const held = useRef<Held | null>(null);
  const tell = useRef({ onLeave, onProblem });
  tell.current = { onLeave, onProblem };
  const hold = useRef<Hold>({
    take: (next) => void (held.current = next),
    spend: () => void (held.current = null),
    release: () => {
      const last = held.current;
      held.current = null;
      if (last && performance.now() < last.until)
        void cancel(id, last.id).then((problem) => problem && tell.current.onProblem(problem.message));
    },
  });
  useEffect(() => {
    const leave = (): void => {
      if (!held.current) return;
      hold.current.release();
      tell.current.onLeave();
    };
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      hold.current.release();
    };
  }, []);
  return hold.current;
}
