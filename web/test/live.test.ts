import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type * as Socket from "../src/live/socket";
import type * as Values from "../src/live/values";

/** What the browser's WebSocket is to the page. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 1;
  sent: Record<string, unknown>[] = [];
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  onclose: (event: { code: number }) => void = () => undefined;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(): void {
    this.readyState = 3;
  }
  say(...messages: object[]): void {
    for (const message of messages) this.onmessage({ data: JSON.stringify(message) });
  }
}

let socket: typeof Socket;
let values: typeof Values;
const last = (): FakeSocket => FakeSocket.all.at(-1)!;
const row = (id: string, value: number) => [id, "2026-11-21T10:00:00.000000Z", value, "good"];
const snapshot = (id: unknown, rows: unknown[], more: object = {}) =>
  ({ op: "snapshot", id, epoch: "E", seq: 7, resumed: false, c: rows, ...more });

async function connected(): Promise<FakeSocket> {
  socket.connect();
  last().onopen();
  last().say({ op: "hello" });
  return last();
}

async function cut(): Promise<FakeSocket> {
  last().onclose({ code: 1006 });
  await vi.advanceTimersByTimeAsync(200);
  last().onopen();
  last().say({ op: "hello" });
  return last();
}

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  FakeSocket.all = [];
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", new URL("http://127.0.0.1:8080/"));
  vi.stubGlobal("addEventListener", () => undefined);
  vi.stubGlobal("navigator", { language: "en" });
  vi.stubGlobal("document", { addEventListener: () => undefined, visibilityState: "visible", documentElement: {} });
  socket = await import("../src/live/socket");
  values = await import("../src/live/values");
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("who is cut off in the middle of a snapshot asks for everything again", async () => {
  const first = await connected();
  values.watch({ globs: ["*"] });
  const { id } = first.sent.at(-1)!;
  first.say(snapshot(id, [row("d:t:a", 1), row("d:t:z", 1)], { more: true }));
  const second = await cut();
  expect(second.sent.at(-1)).toMatchObject({ op: "sub", id });
  expect(second.sent.at(-1)).not.toHaveProperty("since");
  second.say(snapshot(id, [row("d:t:a", 1)], { more: true }), snapshot(id, [row("d:t:b", 2)]));
  expect(values.latestOf("d:t:z").value).toBeNull(); // it was only in the one that broke off
  const third = await cut();
  expect(third.sent.at(-1)).toMatchObject({ op: "sub", id, epoch: "E", since: 7 });
  expect(values.latestOf("d:t:b").value?.value).toBe(2);
});

test("what a later snapshot does not have any more is not shown", async () => {
  const first = await connected();
  values.watch({ globs: ["*"] });
  const { id } = first.sent.at(-1)!;
  first.say(snapshot(id, [row("d:t:a", 1), row("d:t:b", 2)]));
  last().say(snapshot(id, [row("d:t:a", 3)], { more: true }));
  expect(values.latestOf("d:t:b").value?.value).toBe(2); // may still come
  last().say(snapshot(id, [row("d:t:c", 4)]));
  expect(values.latestOf("d:t:b").value).toBeNull();
  expect(values.latestOf("d:t:a").value?.value).toBe(3);
});

test("a value that nobody follows any more is not the present one", async () => {
  const first = await connected();
  const end = values.watch({ ids: ["d:t:a", "d:t:b"] });
  first.say(snapshot(first.sent.at(-1)!["id"], [row("d:t:a", 1), row("d:t:b", 2)]));
  values.watch({ ids: ["d:t:b"] });
  first.say(snapshot(first.sent.at(-1)!["id"], [row("d:t:b", 2)]));
  end();
  await vi.advanceTimersByTimeAsync(2000);
  expect(values.latestOf("d:t:a").value).toBeNull();
  expect(values.latestOf("d:t:b").value?.value).toBe(2);
});

test("names that objects of the language have are names of points like others", async () => {
  const first = await connected();
  values.watch({ globs: ["*"] });
  first.say(snapshot(first.sent.at(-1)!["id"], [row("__proto__:constructor:toString", 5)]));
  expect(values.latestOf("__proto__:constructor:toString").value?.value).toBe(5);
  expect(values.latestOf("constructor").value).toBeNull();
});

test("after a sleep what is shown is frozen until the server says something", async () => {
  const first = await connected();
  expect(socket.frozen.value).toBe(false);
  vi.setSystemTime(Date.now() + 60_000); // the monotonic clock stood still
  await vi.advanceTimersByTimeAsync(1100);
  expect(socket.frozen.value).toBe(true);
  first.say({ op: "alive", time: "2026-11-21T10:00:00.000000Z" });
  expect(socket.frozen.value).toBe(false);
});
