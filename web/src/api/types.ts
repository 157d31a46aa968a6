// Shapes of the API, as /openapi.json describes them; only what the pages use.

export type Scope = "read" | "operate" | "admin";
export type Json = number | string | boolean | null;
/** "good", or flags such as comm_lost. */
export type Quality = "good" | string[];

export interface Identity {
  name: string;
  scope: Scope;
  devices: string[];
  expires: string | null;
  time: string;
  /** Whether the server has an archive that can be asked. */
  archive: boolean;
}

export interface Link {
  state: string;
  since: string | null;
  last_error: string | null;
}

export interface Device {
  id: string;
  name: string;
  protocol: string;
  enabled: boolean;
  description: string;
  status: "on" | "off";
  link: Link;
  [option: string]: unknown;
}

/** A term item as an operator sees it: GET /api/v2/points. */
export interface Point {
  device_id: string;
  term_id: string;
  item_id: string;
  protocol: string;
  name: string;
  unit: string;
  protocol_code: string | null;
  code_type: string | null;
  coefficient: number;
  base_val: number;
  writable: boolean;
  down_limit: number | null;
  up_limit: number | null;
  low_low: number | null;
  high_high: number | null;
}

export interface SampleView {
  device_id: string;
  term_id: string;
  item_id: string;
  time: string;
  value: Json;
  quality: Quality;
}

export type AlarmState = string;

export interface Alarm {
  id: string;
  device_id: string;
  term_id: string;
  item_id: string;
  kind: string;
  state: AlarmState;
  active: boolean;
  priority: string;
  raised: string | null;
  time: string | null;
  value: Json;
  quality: Quality;
  limit: number | null;
  warn_msg: string;
  user: string;
  noted: string | null;
  note: string;
  until: string | null;
}

export interface LogEvent {
  id: string;
  time: string;
  kind: string;
  /** null: not of one device. */
  device_id: string | null;
  object: string;
  severity: string;
  text: string;
  details: unknown;
}

/** One step in the life of an alarm: GET /api/v2/alarms/history. */
export interface AlarmStep {
  id: string;
  /** Id of the alarm. */
  alarm: string;
  device_id: string;
  term_id: string;
  item_id: string;
  kind: string;
  event: string;
  state: AlarmState;
  time: string;
  value: Json;
  quality: Quality;
  limit: number | null;
  priority: string;
  warn_msg: string;
  user: string;
  note: string;
  until: string | null;
}

/** Who changed or controlled what: GET /api/v2/audit. */
export interface AuditEntry {
  id: string;
  time: string;
  action: string;
  user: string;
  source: string;
  object: string;
  before: unknown;
  after: unknown;
  /** null: a control that is about to be sent. */
  result: string | null;
  devices: string[];
  counts?: Record<string, Record<string, number>>;
  changes?: { kind: string; key: string; before?: unknown; after?: unknown }[];
  part?: number;
  parts?: number;
  command_id?: string;
  mode?: string;
  verify?: boolean;
  reason?: string;
}

/** A write that the device confirmed. */
export interface CtrlAnswer extends SampleView {
  command_id: string;
  outcome?: string;
}

/** A selection that the device confirmed, and holds. */
export interface SelectAnswer {
  device_id: string;
  term_id: string;
  item_id: string;
  value: Json;
  selection_id: string;
  /** When it is given up. */
  expires: string;
  /** How long it is held, from the confirmation on. */
  seconds: number;
}

/** A term item as it is configured; what else it has depends on the protocol. */
export interface TermItem {
  term_id: string;
  item_id: string;
  protocol_code: string | null;
  code_type?: string | null;
  coefficient: number;
  base_val: number;
  writable: boolean;
  command_mode?: string;
  command_type?: string;
  bit?: number;
  length?: number;
  [option: string]: unknown;
}

export interface FieldProblem {
  index?: number;
  field: string;
  message: string;
  /** Of a document: line of a table, index in a list. */
  row?: number;
  /** Of a document: column of a table, field of an object. */
  column?: string;
  kind?: string;
  key?: string;
}

/** A kind of object of the model. */
export type Kind = "device" | "term" | "term_item" | "item" | "formula";
/** Any object of the model, as the API represents it. */
export type ModelObject = Record<string, unknown>;
/** How many objects of each kind, as deletions and copies count them. */
export type KindCounts = Partial<Record<"devices" | "terms" | "items" | "term_items" | "formulas", number>>;

export interface ImportChange {
  action: "add" | "change" | "delete";
  kind: Kind;
  key: string;
  /** Field -> before and after; null: not set. */
  fields: Record<string, [unknown, unknown]>;
}

export interface ImportCounts {
  add: number;
  change: number;
  delete: number;
  unchanged: number;
}

/** What an import did, or would do. */
export interface ImportAnswer extends ImportCounts {
  errors: FieldProblem[];
  error_count: number;
  counts: Record<string, ImportCounts>;
  changes: ImportChange[];
  truncated: boolean;
}

/** What trying a device or a point found. */
export interface ProbeAnswer {
  reachable: boolean;
  seconds: number;
  error: string | null;
  raw: string | null;
  sample: { time: string; value: Json; quality: Quality } | null;
  interpretations: {
    code_type: string;
    byte_order: string | null;
    word_order: string | null;
    value: Json;
    configured: boolean;
  }[];
}

/** How a device is doing, as GET /api/v2/overview counts it. */
export interface DeviceOverview {
  device_id: string;
  name: string;
  protocol: string;
  enabled: boolean;
  link: Link;
  points: number;
  bad: number;
  stale: number;
  alarms_active: number;
  alarms_unacknowledged: number;
  worst_priority: string | null;
  values_per_second: number | null;
}

export interface HealthView {
  name: string;
  state: "ok" | "warning" | "error";
  detail: string;
}

export interface Overview {
  time: string;
  totals: {
    devices: number;
    devices_down: number;
    points: number;
    bad: number;
    stale: number;
    alarms_active: number;
    alarms_unacknowledged: number;
    alarms_by_priority: Record<string, number>;
    values_per_second: number | null;
  };
  health: HealthView[];
  devices: DeviceOverview[];
}

/** read = stored + unchanged + rejected + dropped + pending */
export interface Accounting {
  read: number;
  stored: number;
  unchanged: number;
  rejected: number;
  dropped: number;
  pending: number;
  held: number;
}

/** GET /api/v2/devices/{id}/status. All but the link is missing while no manager has reported. */
export interface DeviceStatus {
  device_id: string;
  status: "on" | "off";
  link: Link;
  partition?: number;
  manager?: string | null;
  reported?: string;
  accounting?: Accounting;
  last_seen?: string | null;
  points?: number;
  bad_points?: number;
  stale_points?: number;
  frozen_points?: number;
  counters?: Record<string, number>;
  /** What the driver tells. */
  protocol?: Record<string, unknown>;
}

export interface Frame {
  time: string;
  direction: "sent" | "received" | "note";
  hex: string;
  text: string;
}

export interface FrameList {
  device_id: string;
  /** How many are kept; 0: frame logging is off. */
  size: number;
  frames: Frame[];
}

export interface InterrogatedTerm {
  term_id: string | null;
  address: number;
  outcome: string;
  points: number;
  seconds: number;
  detail: string;
}

/** An address that sends and is not configured. */
export interface Discovered {
  term_id: string | null;
  address: number;
  protocol_code: string;
  code_type: string;
  value: Json;
  quality: Quality;
  time: string;
  cause: string;
  count: number;
  note: string;
}
