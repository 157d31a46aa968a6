// The model as rows of a tree: what is folded out, and what a search leaves. Pure.
import type { Kind, ModelObject, Point } from "../../api/types";

export type Tab = "device" | "item" | "formula";

export interface TreeRow {
  /** Unique in the tree: kind and key. */
  id: string;
  kind: Kind;
  /** One part, or term and item of a term item. */
  key: string[];
  title: string;
  detail: string;
  /** From 1. */
  level: number;
  /** null: it can have no children. */
  open: boolean | null;
  /** Place among those with the same parent, from 1, and how many these are. */
  place: number;
  siblings: number;
  parent: string;
}

export interface TreeModel {
  devices: ReadonlyMap<string, NamedDevice>;
  terms: ReadonlyMap<string, ModelObject>;
  items: ReadonlyMap<string, ModelObject>;
  formulas: ReadonlyMap<string, ModelObject>;
  points: ReadonlyMap<string, Point>;
}

interface NamedDevice {
  id: string;
  name: string;
  protocol: string;
}

/** What stands under what, in the order of what is shown; made once for a model, as rows are made with every key stroke. */
export interface Branches {
  devices: readonly NamedDevice[];
  items: readonly ModelObject[];
  terms: ReadonlyMap<string, ModelObject[]>;
  points: ReadonlyMap<string, Point[]>;
}

export const rowId = (kind: Kind, key: readonly string[]): string => `${kind}/${key.join("/")}`;

const text = (value: unknown): string => (typeof value === "string" ? value : "");

function grouped<T>(all: Iterable<T>, of: (one: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const one of all) {
    const list = found.get(of(one));
    if (list) list.push(one);
    else found.set(of(one), [one]);
  }
  return found;
}

/** "Pump 2" before "Pump 10". */
const order = new Intl.Collator(undefined, { numeric: true });

function sorted<T>(all: Iterable<T>, title: (one: T) => string): T[] {
  return [...all].sort((a, b) => order.compare(title(a), title(b)));
}

const titleOf = (object: ModelObject): string => text(object["name"]) || text(object["id"]);

export function branchesOf(model: TreeModel): Branches {
  return {
    devices: sorted(model.devices.values(), (device) => device.name || device.id),
    items: sorted(model.items.values(), titleOf),
    terms: grouped(sorted(model.terms.values(), titleOf), (term) => text(term["device_id"])),
    points: grouped(sorted(model.points.values(), (point) => point.name || point.item_id), (point) => point.term_id),
  };
}

interface Leaf {
  kind: Kind;
  key: string[];
  title: string;
  detail: string;
  /** null: it can have no children. */
  children: (() => Leaf[]) | null;
}

/** By what is shown; numbers in names count as numbers: Pump 2 before Pump 10. */
const collator = new Intl.Collator(undefined, { numeric: true });
const ordered = (leaves: Leaf[]): Leaf[] => leaves.sort((a, b) => collator.compare(a.title, b.title));

function deviceLeaf(device: NamedDevice, branches: Branches): Leaf {
  return {
    kind: "device",
    key: [device.id],
    title: device.name || device.id,
    detail: `${device.id} · ${device.protocol}`,
    children: () => ordered((branches.terms.get(device.id) ?? []).map((term) => termLeaf(term, branches))),
  };
}

function termLeaf(term: ModelObject, branches: Branches): Leaf {
  const id = text(term["id"]);
  return {
    kind: "term",
    key: [id],
    title: titleOf(term),
    detail: id,
    children: () => ordered((branches.points.get(id) ?? []).map(pointLeaf)),
  };
}

function pointLeaf(point: Point): Leaf {
  return {
    kind: "term_item",
    key: [point.term_id, point.item_id],
    title: point.name || point.item_id,
    detail: [point.item_id, point.protocol_code ?? ""].filter(Boolean).join(" · "),
    children: null,
  };
}

function rootsOf(tab: Tab, model: TreeModel, branches: Branches): Leaf[] {
  if (tab === "device") return ordered(branches.devices.map((device) => deviceLeaf(device, branches)));
  const plain = (kind: Kind, title: string, detail: string) => (object: ModelObject): Leaf => {
    const id = text(object["id"]);
    const shown = text(object[title]) || id;
    return { kind, key: [id], title: shown, detail: [shown === id ? "" : id, text(object[detail])].filter(Boolean).join(" · "), children: null };
  };
  return tab === "item"
    ? ordered(branches.items.map(plain("item", "name", "unit")))
    : [...model.formulas.values()].map(plain("formula", "id", "formula"));
}

interface Found {
  leaf: Leaf;
  children: Found[];
  open: boolean | null;
}

/** The rows to show. With a search: what has all its words, with what is above it folded out. */
export function rowsOf(tab: Tab, model: TreeModel, branches: Branches, open: ReadonlySet<string>, search: string): TreeRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const rows: TreeRow[] = [];
  const found = rootsOf(tab, model, branches).flatMap((leaf) => look(leaf, words, open, false));
  put(found, 1, "", rows);
  return rows;
}

/** `within`: something above it matches already, so that it is shown wherever it is folded out. */
function look(leaf: Leaf, words: readonly string[], open: ReadonlySet<string>, within: boolean): Found[] {
  const isOpen = open.has(rowId(leaf.kind, leaf.key));
  if (!words.length || within)
    return [{
      leaf,
      open: leaf.children && isOpen,
      children: leaf.children && isOpen ? leaf.children().flatMap((child) => look(child, words, open, within)) : [],
    }];
  const where = `${leaf.title} ${leaf.detail} ${leaf.key.join(" ")}`.toLowerCase();
  if (words.every((word) => where.includes(word))) return look(leaf, words, open, true);
  const children = leaf.children?.().flatMap((child) => look(child, words, open, false)) ?? [];
  return children.length ? [{ leaf, open: true, children }] : [];
}

function put(found: readonly Found[], level: number, parent: string, rows: TreeRow[]): void {
  found.forEach(({ leaf, children, open }, index) => {
    const id = rowId(leaf.kind, leaf.key);
    const { kind, key, title, detail } = leaf;
    rows.push({ id, kind, key, title, detail, level, open, place: index + 1, siblings: found.length, parent });
    put(children, level + 1, id, rows);
  });
}
