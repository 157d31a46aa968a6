// What fields are called. What is not listed, as options of other drivers, has its own name.
import { language } from "../../i18n/i18n";

const EN: Record<string, string> = {
  id: "Id", ip: "Host", port: "TCP port", name: "Name", identify: "Identification", frame_log: "Frames kept",
  k: "k: unacknowledged frames", w: "w: frames until acknowledged", t0: "t0: connecting", t1: "t1: acknowledgement", t2: "t2: own acknowledgement", t3: "t3: silence",
  coll_interval: "General interrogation every", counter_interval: "Counter interrogation every", tls: "TLS", tls_ca: "TLS: CA", tls_certificate: "TLS: certificate",
  tls_key: "TLS: key", tls_name: "TLS: name", device_id: "Device", term_id: "Term", item_id: "Item", protocol_code: "Address", code_type: "Type",
  base_val: "Offset", coefficient: "Factor", writable: "May be written", down_limit: "Low limit", up_limit: "High limit", low_low: "Low-low limit", high_high: "High-high limit",
  do_verify: "Rule", warn_msg: "Alarm text", db_save: "Archive", db_save_sql: "SQL for a value", db_warn_sql: "SQL for an alarm", history_length: "Recent samples kept",
  max_gap: "Largest gap", max_block: "Largest block", max_in_flight: "Requests at once",
};

const ZH: Record<string, string> = {
  id: "编号", name: "名称", protocol: "协议", ip: "主机", port: "TCP 端口", identify: "识别码", enabled: "启用", description: "说明", frame_log: "保留报文数",
  backend: "协议实现", timeout: "超时", retries: "重试次数", poll_interval: "轮询周期", max_gap: "最大间隔", max_block: "最大块长", max_in_flight: "并发请求数", byte_order: "字节序", word_order: "字序",
  originator: "源发地址", k: "k：未确认帧数", w: "w：确认帧数", t0: "t0：连接", t1: "t1：确认", t2: "t2：应答", t3: "t3：静默", coll_interval: "总召唤周期", counter_interval: "电度召唤周期",
  interrogation_timeout: "召唤超时", clock_sync: "对时", time_zone: "时区", summer_time: "夏令时", command_mode: "命令方式", command_time_tag: "命令带时标", command_timeout: "命令超时", termination_timeout: "终止超时",
  tls: "TLS", tls_ca: "TLS：CA", tls_certificate: "TLS：证书", tls_key: "TLS：密钥", tls_name: "TLS：名称", redundant: "冗余连接",
  device_id: "设备", term_id: "终端", item_id: "量", address: "地址", view_code: "显示代码", func_type: "功能类型", unit: "单位",
  protocol_code: "地址", code_type: "类型", base_val: "偏移", coefficient: "系数", writable: "可写", bit: "位", length: "长度",
  deadband: "死区", deadband_percent: "死区百分比", min_period: "最小间隔", max_silence: "最长静默", stale_after: "陈旧时限", frozen_after: "冻结时限", history_length: "近期样本数",
  low_low: "下下限", down_limit: "下限", up_limit: "上限", high_high: "上上限", hysteresis: "回差", alarm_delay: "告警延时", alarm_priority: "告警级别", quality_alarm: "品质告警", do_verify: "规则", warn_msg: "告警文本",
  db_save: "归档", db_save_sql: "数值 SQL", db_warn_sql: "告警 SQL", command_type: "命令类型", command_address: "命令地址", qualifier: "限定词", formula: "公式",
};

/** Help for fields that the API describes by their name only. */
const HELP: Record<"en" | "zh", Record<string, string>> = {
  en: {
    port: "empty: the port of the protocol (502 for Modbus, 2404 for IEC 104)", enabled: "whether it is collected", base_val: "value = raw value × factor + offset",
    coefficient: "value = raw value × factor + offset", writable: "whether values may be written to the device", down_limit: "a value below it is an alarm", up_limit: "a value above it is an alarm",
    hysteresis: "how far a value must come back over the limit before the alarm ends", alarm_delay: "how long a limit must be passed before there is an alarm, seconds",
    do_verify: "an expression with value, true when all is right: 207 <= value <= 253", warn_msg: "what the alarm says", db_save: "whether values are archived",
    formula: "an expression with p1, p2, ...: p1 + p2, mean(p1, '15m')", protocol: "for information only", unit: "of the engineering value, as V or °C",
  },
  zh: {
    port: "留空：协议的默认端口（Modbus 502，IEC 104 2404）", enabled: "是否采集", base_val: "数值 = 原始值 × 系数 + 偏移",
    coefficient: "数值 = 原始值 × 系数 + 偏移", writable: "是否允许写入设备", down_limit: "低于此值即告警", up_limit: "高于此值即告警",
    hysteresis: "越限后须返回多少告警才消失", alarm_delay: "越限持续多久后告警，秒",
    do_verify: "含 value 的表达式，正常时为真：207 <= value <= 253", warn_msg: "告警显示的内容", db_save: "数值是否归档",
    formula: "含 p1、p2… 的表达式：p1 + p2、mean(p1, '15m')", protocol: "仅供参考", unit: "工程值的单位，如 V、°C",
  },
};

export function labelOf(name: string): string {
  const found = language.value === "zh" ? ZH[name] : EN[name];
  const plain = name.replaceAll("_", " ");
  return found ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** The API's own description, else ours; its marks of code are for its reference. */
export const helpOf = (name: string, given: string): string =>
  given.replaceAll("``", "") || HELP[language.value][name] || "";
