// What happens when the pages are opened, and again after somebody signed in.
import { effect } from "@preact/signals";
import { Problem } from "../api/client";
import { language, setLanguage } from "../i18n/i18n";
import { connect, sessions } from "../live/socket";
import { followPlant, readModel } from "./plant";
import { identify } from "./session";
import { applyTheme, theme } from "./theme";
import { clockJumps } from "./time";
import { tokenWanted } from "./token";

const PAUSE = 1000; // before the next try, while the server does not answer or is not ready

let following = false;

async function load(): Promise<void> {
  for (;;) {
    try {
      await identify();
      connect();
      await readModel();
      break;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return; // signing in calls start() again
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }
  if (!following) {
    following = true;
    followPlant();
  }
}

export async function start(): Promise<void> {
  applyTheme(theme.peek());
  setLanguage(language.peek());
  await load();
}

// The clock was set: ages are worked out from the server's.
effect(() => {
  if (clockJumps.value && !tokenWanted.peek()) void identify().catch(() => undefined);
});

// After a break the model may be another one, and what the server has.
effect(() => {
  if (sessions.value <= 1 || tokenWanted.peek()) return;
  void identify().catch(() => undefined);
  void readModel().catch(() => undefined);
});
