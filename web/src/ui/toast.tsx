// Short messages at the edge of the page: what was done, or why not.
import { signal } from "@preact/signals";

const SHOWN = 6000; // milliseconds

const messages = signal<{ id: number; text: string }[]>([]);
let last = 0;

export function toast(text: string): void {
  const id = ++last;
  messages.value = [...messages.value.slice(-3), { id, text }];
  setTimeout(() => {
    messages.value = messages.value.filter((message) => message.id !== id);
  }, SHOWN);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {messages.value.map(({ id, text }) => <div class="toast" key={id}>{text}</div>)}
    </div>
  );
}
