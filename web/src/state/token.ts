// The access token of this tab. It is kept in sessionStorage: gone with the tab, never shared with another one.
import { signal } from "@preact/signals";

const NAME = "pydatacoll.token";

function read(): string {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return ""; // storage is blocked: the token lives as long as the page
  }
}

export const token = signal<string>(read());
/** Whether the server asked for a token that we do not have, or refused ours. */
export const tokenWanted = signal(false);

/** Keep a token for when the page is loaded again. Returns whether that was possible. */
export function keepToken(text: string): boolean {
  try {
    sessionStorage.setItem(NAME, text);
    return true;
  } catch {
    return false; // see read()
  }
}

/** Use a token from now on. */
export function setToken(text: string): void {
  token.value = text;
  tokenWanted.value = false;
  keepToken(text);
}

/** Forget the token, because the server does not know it or the person signs out. */
export function forgetToken(): void {
  token.value = "";
  tokenWanted.value = true;
  try {
    sessionStorage.removeItem(NAME);
  } catch {
    // see read()
  }
}
