// Who is here, and what that allows.
import { computed, signal } from "@preact/signals";
import { get, send } from "../api/client";
import type { Identity, Scope } from "../api/types";
import { setServerTime } from "./time";

const RANK: Record<Scope, number> = { read: 1, operate: 2, admin: 3 };

/** null until the server said it. */
export const me = signal<Identity | null>(null);

export async function identify(): Promise<void> {
  const identity = await get<Identity>("/api/v2/whoami");
  setServerTime(identity.time);
  me.value = identity;
}

/** Ask the server about a token before it is used for everything. Raises a Problem: 401 when it is not valid. */
export async function tryToken(text: string): Promise<void> {
  await send({ method: "GET", path: "/api/v2/whoami", headers: { Authorization: `Bearer ${text}` } });
}

const rank = computed(() => (me.value ? RANK[me.value.scope] : 0));

/** Whether the person may: what is not allowed is not offered. */
export const may = (scope: Scope): boolean => rank.value >= RANK[scope];
/** Whether tokens are in use, so that one can sign out. */
export const signedIn = computed(() => Boolean(me.value?.name));
/** Whether there is an archive to ask; else what is asked of it fails. */
export const hasArchive = computed(() => Boolean(me.value?.archive));
