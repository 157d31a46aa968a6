import { afterEach, describe, expect, it, vi } from "vitest";

vi.stubGlobal("navigator", { language: "en" });
const { language } = await import("../src/i18n/i18n");
const { saidOf } = await import("../src/pages/model/said");
const { choiceOf, helpOf, labelOf } = await import("../src/pages/model/labels");

afterEach(() => {
  language.value = "en";
});

describe("texts of a form", () => {
  it("are those of the API in English, without its marks of code", () => {
    expect(labelOf("base_val")).toBe("Offset");
    expect(labelOf("alarm_priority")).toBe("Alarm priority");
    expect(helpOf("``false``: not connected")).toBe("false: not connected");
    expect(choiceOf("byte_order", "big")).toBe("big");
  });

  it("are Chinese where the page is", () => {
    language.value = "zh";
    expect(labelOf("deadband")).toBe("死区");
    expect(helpOf("unit id")).toContain("站地址");
    expect(choiceOf("byte_order", "big")).toMatch(/^big · 大端/);
  });

  it("stay as they are where a driver of somebody else says something of its own", () => {
    language.value = "zh";
    expect(helpOf("how the ``turbine`` is asked")).toBe("how the turbine is asked");
    expect(labelOf("turbine_mode")).toBe("Turbine mode");
    expect(choiceOf("byte_order", "middle")).toBe("middle");
    expect(choiceOf("turbine_mode", "big")).toBe("big");
  });

  it.each(["constructor", "__proto__", "toString"])("may have names that every object has: %s", (name) => {
    language.value = "zh";
    expect(labelOf(name).toLowerCase()).toBe(name.replaceAll("_", " ").toLowerCase());
    expect(helpOf(name)).toBe(name);
    expect(choiceOf(name, name)).toBe(name);
  });
});

describe("what the server says about a field", () => {
  it("is Chinese where the page is, with what it names", () => {
    const message = "must not be above up_limit (253)";
    expect(saidOf(message)).toBe(message);
    language.value = "zh";
    expect(saidOf(message)).toBe("不得高于 up_limit（253）");
    expect(saidOf("must be one of big, little")).toBe("必须是下列之一：big, little");
    expect(saidOf("device already exists! $& (1)")).toBe("device 已存在：$& (1)");
  });

  it("stays as it is where nobody translated it", () => {
    language.value = "zh";
    expect(saidOf("the turbine is no boiler")).toBe("the turbine is no boiler");
  });
});
