// What kind of screen this is, for parts whose geometry CSS alone cannot decide.
import { useEffect, useState } from "preact/hooks";

/** Whether a media query matches, `useMedia("(max-width: 700px)")`. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const listen = (): void => setMatches(list.matches);
    listen();
    list.addEventListener("change", listen);
    return () => list.removeEventListener("change", listen);
  }, [query]);
  return matches;
}

/** A phone, or a window as narrow: tables become lists of cards. */
export const useNarrow = (): boolean => useMedia("(max-width: 700px)");
/** Fingers: what is touched needs 44 px. */
export const useCoarse = (): boolean => useMedia("(pointer: coarse)");
