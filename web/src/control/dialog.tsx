import { Dialog } from "../ui/dialog";
import type { ControlProps } from "./open";

export default function ControlDialog({ id, onClose }: ControlProps) {
  return <Dialog title={id} onClose={onClose}>{id}</Dialog>;
}
