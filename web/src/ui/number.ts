import { language } from "../i18n/i18n";

const formats = {
  en: new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 }),
  zh: new Intl.NumberFormat("zh-CN", { maximumFractionDigits: 1 }),
};

/** A count or a rate with one decimal at most, grouped: `12,345.6`. */
export const numberText = (value: number): string => formats[language.value].format(value);
