// What this page knows of the model besides devices and points, and what was entered and not saved.
import { batch, computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, Problem } from "../../api/client";
import type { Kind, ModelObject } from "../../api/types";
import { devices, modelVersion, points, readModel } from "../../state/plant";
import type { Draft } from "./draft";
import type { Schema, Schemas } from "./schema";
import { branchesOf, type TreeModel } from "./tree";

type Table = ReadonlyMap<string, ModelObject>;

const terms = signal<Table>(new Map());
const items = signal<Table>(new Map());
const formulas = signal<Table>(new Map());
export const schemas = signal<Schemas | null>(null);
/** Why the model could not be read; "" when it could. */
export const readProblem = signal("");
/** Whether terms, items and formulas were read at least once. */
export const ready = signal(false);

export const model = computed<TreeModel>(() => ({
  devices: devices.value,
  terms: terms.value,
  items: items.value,
  formulas: formulas.value,
  points: points.value,
}));
export const branches = computed(() => branchesOf(model.value));

/** Something being edited: as it was read (null: it is new), and what stands in the form. */
export interface Edit {
  opened: ModelObject | null;
  draft: Draft;
}

/** By the place of the object, or of the form of a new one; kept while other objects are looked at. */
export const edits = signal<ReadonlyMap<string, Edit>>(new Map());

export function setEdit(place: string, edit: Edit | null): void {
  const next = new Map(edits.peek());
  if (edit) next.set(place, edit);
  else next.delete(place);
  edits.value = next;
}

addEventListener("beforeunload", (event) => {
  if (edits.peek().size) event.preventDefault();
});

async function readRest(): Promise<void> {
  const table = async (path: string): Promise<Table> =>
    new Map((await get<ModelObject[]>(`${path}?expand=true`)).map((object) => [String(object["id"]), object]));
  const [newTerms, newItems, newFormulas] = await Promise.all([
    table("/api/v1/terms"), table("/api/v1/items"), table("/api/v1/formulas"),
  ]);
  batch(() => {
    terms.value = newTerms;
    items.value = newItems;
    formulas.value = newFormulas;
    ready.value = true;
    readProblem.value = "";
  });
}

async function readSchemas(): Promise<void> {
  if (schemas.peek()) return;
  const document = await get<{ components: { schemas: Record<string, Schema> } }>("/openapi.json");
  schemas.value = document.components.schemas;
}

const failed = (error: unknown): void => {
  readProblem.value = error instanceof Problem ? error.message : String(error);
};

export function readAll(): void {
  void Promise.all([readRest(), readSchemas()]).catch(failed);
}

/** Read what the page needs, and again whenever the model changes. */
export function useModel(): void {
  const version = modelVersion.value;
  useEffect(readAll, [version]);
}

/** After a change of our own: show it at once. What cannot be read now is read at the next change. */
export async function refresh(): Promise<void> {
  await readModel().catch(failed);
}

export const keyText = (key: readonly string[]): string => key.join(":");

const COLLECTIONS: Record<Exclude<Kind, "term_item">, string> = {
  device: "/api/v1/devices", term: "/api/v1/terms", item: "/api/v1/items", formula: "/api/v1/formulas",
};

/** Where objects of a kind are made. */
export function collectionOf(kind: Kind, termId = ""): string {
  return kind === "term_item" ? `/api/v1/terms/${encodeURIComponent(termId)}/items` : COLLECTIONS[kind];
}

/** Where an object is. */
export function pathOf(kind: Kind, key: readonly string[]): string {
  const [first = "", second = ""] = key;
  return kind === "term_item"
    ? `${collectionOf(kind, first)}/${encodeURIComponent(second)}`
    : `${COLLECTIONS[kind]}/${encodeURIComponent(first)}`;
}

export const keyOf = (kind: Kind, object: ModelObject): string[] =>
  kind === "term_item" ? [String(object["term_id"]), String(object["item_id"])] : [String(object["id"])];

/** The protocol that gives an object its form: that of its device. */
export function protocolOf(kind: Kind, object: ModelObject): string {
  const known = model.value;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  if (kind === "device") return text(object["protocol"]);
  const deviceId = kind === "term" ? object["device_id"] : known.terms.get(text(object["term_id"]))?.["device_id"];
  return known.devices.get(text(deviceId))?.protocol ?? "";
}
