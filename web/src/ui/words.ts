import type { Words } from "../i18n/i18n";

/** Texts of the parts that all pages use. */
export const words = {
  en: {
    close: "Close", cancel: "Cancel", copied: "Copied", copyCurl: "Copy as curl", loading: "Loading …",
    none: "Nothing here", noValue: "no value yet", quality: "Quality", age: "Age", value: "Value",
    good: "good", invalid: "invalid", not_topical: "not topical", substituted: "substituted", blocked: "blocked",
    overflow: "overflow", comm_lost: "communication lost", time_invalid: "time invalid", out_of_range: "out of range",
    stale: "stale", connected: "connected", connecting: "connecting", backoff: "waiting to reconnect",
    disabled: "disabled", virtual: "calculated", no_manager: "no manager runs it", critical: "critical",
    high: "high", medium: "medium", low: "low", enabled: "enabled", all: "all", retry: "Try again", failed: "This did not work: {detail}",
    noArchive: "This server has no archive. To have one, add db_saver to plugins in the settings file, or to --plugins; docs/howto/archive.rst tells more.",
  },
  zh: {
    close: "关闭", cancel: "取消", copied: "已复制", copyCurl: "复制为 curl", loading: "正在加载…",
    none: "暂无内容", noValue: "尚无数值", quality: "品质", age: "时长", value: "数值",
    good: "良好", invalid: "无效", not_topical: "非当前值", substituted: "替代值", blocked: "闭锁",
    overflow: "溢出", comm_lost: "通信中断", time_invalid: "时标无效", out_of_range: "超出范围",
    stale: "陈旧", connected: "已连接", connecting: "正在连接", backoff: "等待重连",
    disabled: "已停用", virtual: "计算量", no_manager: "没有管理器运行", critical: "紧急",
    high: "高", medium: "中", low: "低", enabled: "已启用", all: "全部", retry: "重试", failed: "操作失败：{detail}",
    noArchive: "此服务器没有归档。如需归档，请在设置文件的 plugins 或命令行的 --plugins 中加入 db_saver；详见 docs/howto/archive.rst。",
  },
} satisfies Words<string>;
