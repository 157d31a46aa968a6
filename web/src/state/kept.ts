// Choices of the person at this browser: language, theme, time zone. Nothing secret is kept here.

export function kept<T extends string>(name: string, allowed: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(`pydatacoll.${name}`) as T | null;
    return value !== null && allowed.includes(value) ? value : otherwise;
  } catch {
    return otherwise; // storage is blocked
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`pydatacoll.${name}`, value);
  } catch {
    // storage is blocked or full: the choice holds until the page is left
  }
}
