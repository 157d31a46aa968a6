// Which column of a file is which column of ours: guessed by name, changed by the person. Pure.
import { isParam } from "../schema";
import type { Column } from "./columns";

/** For each column of the file the name of ours; "" leaves it out. */
export type Mapping = string[];

/** What people call things, in English and Chinese lists of points. */
const SYNONYMS: Record<string, readonly string[]> = {
  device_id: ["device", "rtu", "plc", "station", "设备", "设备编号", "设备id"],
  device_name: ["设备名称"],
  ip: ["ip_address", "host", "hostname", "address_ip", "ip地址"],
  port: ["tcp_port", "端口"],
  protocol: ["规约", "协议"],
  term_id: ["term", "unit_name", "terminal", "终端", "终端编号", "终端id"],
  term_name: ["终端名称"],
  term_address: ["unit_id", "slave", "slave_id", "slave_address", "common_address", "asdu_address", "ca", "casdu", "站地址", "公共地址"],
  item_id: ["item", "point", "point_id", "tag", "signal", "测点", "测点编号", "测点id"],
  item_name: ["name", "point_name", "signal_name", "tag_name", "名称", "测点名称"],
  item_description: ["comment", "remark", "remarks", "备注"],
  unit: ["units", "engineering_unit", "eu", "单位"],
  protocol_code: ["address", "register", "ioa", "information_object_address", "object_address", "point_address", "地址", "点号", "信息体地址"],
  code_type: ["type", "data_type", "datatype", "asdu_type", "type_id", "type_identification", "数据类型", "类型"],
  coefficient: ["factor", "scale", "gain", "multiplier", "系数", "倍率"],
  base_val: ["base", "offset", "基值", "偏移"],
  writable: ["write", "writeable", "rw", "可写"],
  up_limit: ["high", "high_limit", "upper_limit", "max", "上限"],
  down_limit: ["low", "low_limit", "lower_limit", "min", "下限"],
  high_high: ["hihi", "hh", "high_high_limit", "上上限"],
  low_low: ["lolo", "ll", "low_low_limit", "下下限"],
  warn_msg: ["alarm_text", "alarm_message", "告警内容"],
  alarm_priority: ["priority", "告警级别"],
  poll_interval: ["interval", "scan_rate", "周期"],
};

/** `Device ID`, `device-id` and `device_id` are the same. */
const plainName = (name: string): string =>
  name.trim().toLowerCase().replace(/[\s\-./]+/g, "_").replace(/_+/g, "_").replace(/^_|_$/g, "");

/** A name that the server knows by itself. */
export const isKnown = (columns: readonly Column[]): ((name: string) => boolean) => {
  const names = new Set(columns.map((column) => column.name));
  return (name) => names.has(plainName(name)) || isParam(plainName(name));
};

/** The mapping that the names of the file suggest; no column of ours is given twice. */
export function guessed(header: readonly string[], columns: readonly Column[]): Mapping {
  const known = isKnown(columns);
  const names = new Set(columns.map((column) => column.name));
  const mapping: Mapping = header.map((name) => (name && known(name) ? plainName(name) : ""));
  const taken = new Set<string>();
  mapping.forEach((name, place) => {
    if (taken.has(name)) mapping[place] = "";
    taken.add(name);
  });
  const meanings = new Map<string, string>();
  for (const [name, others] of Object.entries(SYNONYMS))
    if (names.has(name)) for (const other of others) meanings.set(other, name);
  // a field's own name, where only one column can be meant: `timeout` is device_timeout
  const own = new Map<string, string[]>();
  for (const { name, field } of columns) own.set(field.name, [...(own.get(field.name) ?? []), name]);
  header.forEach((given, place) => {
    if (mapping[place] || !given) return;
    const plain = plainName(given);
    const only = own.get(plain);
    const name = meanings.get(plain) ?? (only?.length === 1 ? only[0] : undefined);
    if (name === undefined || taken.has(name)) return;
    mapping[place] = name;
    taken.add(name);
  });
  return mapping;
}

/** Names that stand at two columns of the file. */
export function doubled(mapping: Mapping): string[] {
  return [...new Set(mapping.filter((name, place) => name !== "" && mapping.indexOf(name) !== place))];
}

export interface Mapped {
  header: string[];
  rows: string[][];
  /** For each column the place in the file that it comes from. */
  places: number[];
}

/** A value for all rows, of a column that the file does not have (one device, one protocol). */
export type Constants = Record<string, string>;

/** The table as it is sent: columns with our names, those left out not there, constants at the end. */
export function applied(rows: readonly (readonly string[])[], mapping: Mapping, constants: Constants = {}): Mapped {
  const places = mapping.flatMap((name, place) => (name ? [place] : []));
  const fixed = Object.entries(constants).filter(([name, value]) => value !== "" && !mapping.includes(name));
  return {
    header: [...places.map((place) => mapping[place] ?? ""), ...fixed.map(([name]) => name)],
    rows: rows.map((row) => [...places.map((place) => row[place] ?? ""), ...fixed.map(([, value]) => value)]),
    places,
  };
}
