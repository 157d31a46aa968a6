// After a refusal the first field that is wrong gets the focus, wherever it is.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Faults } from "./draft";
import type { Refusal } from "./problem";

/** For the form; call it with what is wrong, which is a new object at every attempt. */
export function useFirstWrong(faults: Faults, refusal: Refusal): RefObject<HTMLFormElement | null> {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (!Object.keys(faults).length && !Object.keys(refusal.fields).length) return;
    form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [faults, refusal]);
  return form;
}
