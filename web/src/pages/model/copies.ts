// Copies of a device: what each is called and where it is. Pure.

export interface Copy {
  id: string;
  name: string;
  ip: string;
  port: string;
}

/** A name with the next number: `pump1` -> `pump2`, `pump09` -> `pump10`; without one it gets a 2. */
export function numbered(text: string, step: number): string {
  const found = /^(.*?)(\d+)(\D*)$/s.exec(text);
  if (!found) return `${text}${step + 1}`;
  const [, before = "", digits = "", after = ""] = found;
  return `${before}${String(Number(digits) + step).padStart(digits.length, "0")}${after}`;
}

/** The next addresses of an IPv4 address; what is none (a name) stays, as does what would leave its network. */
export function nextIp(ip: string, step: number): string {
  const found = /^(\d+\.\d+\.\d+\.)(\d+)$/.exec(ip);
  const last = Number(found?.[2]) + step;
  return found && last <= 254 ? `${found[1]}${last}` : ip;
}

/** So many copies, numbered on from the original; ids that exist already are passed over. */
export function suggested(original: Copy, count: number, taken: (id: string) => boolean): Copy[] {
  const copies: Copy[] = [];
  for (let step = 1; copies.length < count; step++) {
    const id = numbered(original.id, step);
    if (taken(id)) continue;
    copies.push({ id, name: numbered(original.name, step), ip: nextIp(original.ip, step), port: original.port });
  }
  return copies;
}

/** As the API takes it: what is empty is as in the original. */
export function bodyOf(copies: readonly Copy[]): Record<string, unknown>[] {
  return copies.map(({ id, name, ip, port }) => ({
    id: id.trim(),
    ...(name.trim() ? { name: name.trim() } : {}),
    ...(ip.trim() ? { ip: ip.trim() } : {}),
    ...(port.trim() ? { port: /^\d+$/.test(port.trim()) ? Number(port) : port.trim() } : {}),
  }));
}
