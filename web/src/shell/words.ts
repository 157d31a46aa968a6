import type { Words } from "../i18n/i18n";

export const words = {
  en: {
    overview: "Overview", trend: "Trend", alarms: "Alarms", model: "Model", log: "Log", api: "API",
    pages: "Pages", search: "Search", searchHint: "device, point or page", noMatch: "nothing matches",
    frozen: "Connection lost, values are frozen.", lastHeard: "Trying to reconnect …",
    noAlarms: "No alarms", unacknowledged: "{count} unacknowledged", active: "{count} active",
    settings: "Settings", language: "Language", theme: "Theme", zone: "Time",
    auto: "as the system", light: "light", dark: "dark", local: "local time", utc: "UTC",
    signOut: "Sign out", signIn: "Sign in", tokenLabel: "Access token",
    tokenHelp: "Made with: pydatacoll token new. It is kept for this tab only.",
    tokenWrong: "This token is not valid here.", signedInAs: "Signed in as {name} ({scope})",
    starting: "Waiting for the server …", device: "device", point: "point", page: "page",
    notFound: "There is no such page.", skip: "Skip to the content", navigation: "Main navigation",
  },
  zh: {
    overview: "总览", trend: "趋势", alarms: "告警", model: "模型", log: "日志", api: "接口",
    pages: "页面", search: "搜索", searchHint: "设备、测点或页面", noMatch: "没有匹配项",
    frozen: "连接已断开，数值已冻结。", lastHeard: "正在重新连接…",
    noAlarms: "没有告警", unacknowledged: "{count} 条未确认", active: "{count} 条有效",
    settings: "设置", language: "语言", theme: "主题", zone: "时间",
    auto: "跟随系统", light: "浅色", dark: "深色", local: "本地时间", utc: "UTC",
    signOut: "退出登录", signIn: "登录", tokenLabel: "访问令牌",
    tokenHelp: "由 pydatacoll token new 生成，仅在本标签页内保存。",
    tokenWrong: "此令牌在这里无效。", signedInAs: "已登录：{name}（{scope}）",
    starting: "正在等待服务器…", device: "设备", point: "测点", page: "页面",
    notFound: "没有这个页面。", skip: "跳到内容", navigation: "主导航",
  },
} satisfies Words<string>;
