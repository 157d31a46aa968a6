// The live connection: one WebSocket for all subscriptions of the page. It comes back by itself, resumes where it
// broke off, and says honestly when what is shown may be old.
import { computed, effect, signal } from "@preact/signals";
import type { Batch, Wanted } from "./messages";
import { clockJumps } from "../state/time";
import { forgetToken, token, tokenWanted } from "../state/token";

/** Milliseconds of silence after which values count as frozen, and between two looks at it: within three seconds the
 * page says so. The server says something every second. */
const SILENCE = 2500;
const LOOK = 200;
const PAUSES = [100, 250, 500, 1000, 1500]; // before the next try; a server that restarts is found within 2 s
const EXPIRED = 4401; // close code: the token is not valid any more

interface Subscription {
  wanted: Wanted;
  take: (batch: Batch) => void;
  epoch: string;
  seq: number;
  /** Whether more pieces of a snapshot follow. */
  open: boolean;
}

type State = "connecting" | "live" | "lost";

const state = signal<State>("connecting");
const heard = signal(performance.now());
const silent = signal(false);

/** Whether the values shown are those of now. */
export const frozen = computed(() => state.value === "lost" || silent.value);
/** Whether the connection was made at least once. */
export const connected = signal(false);
/** Counts connections: pages refill their gaps (trends) when it grows. */
export const sessions = signal(0);
/** Why the server refused a subscription; "" when it did not. */
export const refused = signal("");

const subscriptions = new Map<string, Subscription>();
let socket: WebSocket | null = null;
let lastId = 0;
let tries = 0;
let timer: ReturnType<typeof setTimeout> | undefined;

/** Ask for something; `take` gets the snapshot and all batches. Returns what ends it. */
export function subscribe(wanted: Wanted, take: (batch: Batch) => void): () => void {
  const id = `s${++lastId}`;
  const subscription: Subscription = { wanted, take, epoch: "", seq: 0, open: false };
  subscriptions.set(id, subscription);
  ask(id, subscription);
  return () => {
    subscriptions.delete(id);
    tell({ op: "unsub", id });
  };
}

function ask(id: string, subscription: Subscription): void {
  const { wanted, epoch, seq } = subscription;
  subscription.open = false;
  tell({ op: "sub", id, ...wanted, ...(epoch ? { epoch, since: seq } : {}) });
}

function tell(message: unknown): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

/** Connect, and stay connected. */
export function connect(): void {
  clearTimeout(timer);
  if (tokenWanted.peek()) return;
  socket?.close();
  const url = new URL("/api/v2/live", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const protocols = token.peek() ? ["pydatacoll", `bearer.${token.peek()}`] : ["pydatacoll"];
  const made = new WebSocket(url, protocols);
  socket = made;
  made.onopen = () => {
    if (socket !== made) return;
    tries = 0;
    heard.value = performance.now();
    for (const [id, subscription] of subscriptions) ask(id, subscription);
  };
  made.onmessage = (event: MessageEvent<string>) => {
    if (socket === made) receive(event.data);
  };
  made.onclose = (event) => {
    if (socket !== made) return;
    socket = null;
    state.value = "lost";
    if (event.code === EXPIRED) forgetToken();
    else again();
  };
}

function again(): void {
  clearTimeout(timer);
  timer = setTimeout(connect, PAUSES[Math.min(tries++, PAUSES.length - 1)]);
}

function receive(text: string): void {
  heard.value = performance.now();
  silent.value = false;
  const message = JSON.parse(text) as Partial<Omit<Batch, "op">> & { op?: string; detail?: string };
  if (message.op === "hello") {
    state.value = "live";
    connected.value = true;
    sessions.value++;
    return;
  }
  if (message.op === "error") {
    refused.value = message.detail ?? "";
    return;
  }
  const subscription = message.id === undefined ? undefined : subscriptions.get(message.id);
  if (!subscription || message.seq === undefined) return;
  // who is cut off in the middle of a snapshot begins anew: what was still to come is behind no number
  if (message.op === "snapshot") {
    message.first = !subscription.open;
    subscription.open = Boolean(message.more);
    subscription.epoch = message.more ? "" : (message.epoch ?? "");
  }
  subscription.seq = message.seq;
  subscription.take(message as Batch);
}

setInterval(() => {
  if (state.peek() !== "live") return;
  const quiet = performance.now() - heard.peek();
  silent.value = quiet > SILENCE;
  if (quiet > 2 * SILENCE) {
    // a connection that is half open never closes by itself
    const stuck = socket;
    socket = null;
    stuck?.close();
    state.value = "lost";
    again();
  }
}, LOOK);

effect(() => {
  // this device was asleep, maybe: what is shown is old until the server says something
  if (!clockJumps.value || state.peek() !== "live") return;
  heard.value = performance.now() - SILENCE - 1;
  silent.value = true;
});

addEventListener("online", connect);
document.addEventListener("visibilitychange", () => {
  // a phone that was asleep: do not wait for the next try
  if (document.visibilityState === "visible" && state.peek() === "lost") connect();
});
