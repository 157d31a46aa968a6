import type { Words } from "../../i18n/i18n";

export const words = {
  en: {
    title: "Trend", add: "Add items", none: "Choose up to eight points to draw.", remove: "Remove {name}",
    live: "Live", last: "last {length}", span: "Fixed span", back: "Back to live", from: "from", to: "to",
    show: "Show", axis: "Axis", auto: "by unit", step: "Steps", limits: "Limits", noLimits: "none",
    csv: "Save as CSV", share: "Copy the address", copied: "Copied", item: "Item", value: "Value",
    quality: "Quality", time: "Time", noArchive: "Only recent values are shown, the archive cannot be read: {detail}", recentOnly: "Only recent values are shown.",
    chart: "Trend of {names}. Left and right arrow keys move the cursor, plus and minus zoom.",
    loading: "Reading …", zoomIn: "Zoom in", zoomOut: "Zoom out", earlier: "Earlier", later: "Later",
    bad: "bad or old values", pick: "Choose points", find: "Find by name, device or unit", full: "Eight items is the most.",
    samples: "{count} samples", minMax: "from {low} to {high}", wrongSpan: "The beginning must be before the end.",
  },
  zh: {
    title: "趋势", add: "添加测点", none: "请选择最多八个测点。", remove: "移除 {name}",
    live: "实时", last: "最近 {length}", span: "固定时段", back: "回到实时", from: "从", to: "到",
    show: "显示", axis: "坐标轴", auto: "按单位", step: "阶梯", limits: "限值", noLimits: "无",
    csv: "保存为 CSV", share: "复制链接", copied: "已复制", item: "测点", value: "数值",
    quality: "品质", time: "时间", noArchive: "仅显示近期数值，无法读取归档：{detail}", recentOnly: "仅显示近期数值。",
    chart: "{names} 的趋势。左右方向键移动光标，加减键缩放。",
    loading: "正在读取…", zoomIn: "放大", zoomOut: "缩小", earlier: "更早", later: "更晚",
    bad: "坏值或旧值", pick: "选择测点", find: "按名称、设备或单位查找", full: "最多八个测点。",
    samples: "{count} 个样本", minMax: "{low} 至 {high}", wrongSpan: "开始时间必须早于结束时间。",
  },
} satisfies Words<string>;
