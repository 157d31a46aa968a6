// Opens the control dialog from anywhere; its code is read when it is first wanted.
import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { route } from "../routes";

/** The point to control, `device:term:item`; "" for none. */
export const controlled = signal("");

export function openControl(id: string): void {
  controlled.value = id;
}

export interface ControlProps {
  /** `device:term:item` */
  id: string;
  onClose: () => void;
}

export function ControlOutlet() {
  const id = controlled.value;
  const [Shown, setShown] = useState<ComponentType<ControlProps> | null>(null);
  useEffect(() => {
    if (id && !Shown) void import("./dialog").then((module) => setShown(() => module.default));
  }, [id]);
  const { page, rest } = route.value;
  useEffect(() => void (controlled.value = ""), [page, rest.join("/")]); // Back, or a link in the dialog: it is left, too
  return id && Shown ? <Shown key={id} id={id} onClose={() => (controlled.value = "")} /> : null;
}
