import type { Words } from "../../i18n/i18n";

export const words = {
  en: {
    api: "API", about: "Everything these pages do, programs can do, too. This is version {version} of the service.",
    document: "OpenAPI document", docs: "plain explorer", search: "Search operations", searchHint: "path, method or word",
    noMatch: "No operation fits.", parameters: "Parameters", body: "Body", members: "Members of the body", member: "Name", type: "Type", description: "Meaning", bodyType: "Type", answers: "Answers", answer: "Answer",
    send: "Send", sending: "Waiting …", stop: "Stop", required: "needed", open: "open to everybody", needs: "needs scope {scope}",
    notAllowed: "Your token does not allow this; it needs the scope {scope}.", missing: "Still missing: {names}",
    badJson: "This is not JSON: {reason}", headers: "Headers", took: "{time} ms", cut: "Only the beginning is shown.",
    notReached: "The server does not answer: {reason}", stopped: "Stopped.", emptyBody: "No body.",
    graveTitle: "Really send this?", graveText: "It deletes, replaces or moves something in the plant or its model:", cancel: "Cancel",
    socket: "This is a WebSocket; a browser form cannot try it. These pages use it for all live values.",
    operations: "{count} operations",
  },
  zh: {
    api: "接口", about: "这些页面能做的，程序也能做。服务版本 {version}。",
    document: "OpenAPI 文档", docs: "简易浏览器", search: "搜索操作", searchHint: "路径、方法或词",
    noMatch: "没有符合的操作。", parameters: "参数", body: "请求体", members: "请求体的字段", member: "名称", type: "类型", description: "含义", bodyType: "类型", answers: "应答", answer: "应答",
    send: "发送", sending: "等待中…", stop: "停止", required: "必填", open: "对所有人开放", needs: "需要权限 {scope}",
    notAllowed: "您的令牌不允许此操作，需要权限 {scope}。", missing: "尚缺：{names}",
    badJson: "不是 JSON：{reason}", headers: "响应头", took: "{time} 毫秒", cut: "只显示开头部分。",
    notReached: "服务器没有应答：{reason}", stopped: "已停止。", emptyBody: "没有内容。",
    graveTitle: "确定发送？", graveText: "这会删除、替换或操作现场设备或其模型：", cancel: "取消",
    socket: "这是 WebSocket，无法用表单尝试。这些页面用它传输全部实时值。",
    operations: "{count} 个操作",
  },
} satisfies Words<string>;
