import { describe, expect, it } from "vitest";
import { csvOf } from "../src/pages/trend/csv";
import { placeOfSample } from "../src/pages/trend/samples";
import { tickTexts } from "../src/pages/trend/ticks";

const clock = {
  day: (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 10),
  clock: (seconds: number) => new Date(seconds * 1000).toISOString().slice(11, 19),
};

describe("ticks", () => {
  it("tells the day where it changes, and seconds only when they matter", () => {
    expect(tickTexts([86_340, 86_400, 86_460], 60, clock)).toEqual(["23:59\n1970-01-01", "00:00\n1970-01-02", "00:01"]);
    expect(tickTexts([10, 15], 5, clock)).toEqual(["00:00:10\n1970-01-01", "00:00:15"]);
    expect(tickTexts([1, 1.5], 0.5, clock)[1]).toBe("00:00:01.500");
    expect(tickTexts([0, 86_400], 86_400, clock)).toEqual(["1970-01-01", "1970-01-02"]);
  });
});

describe("csv", () => {
  it("has the samples of the span, quoted, with no formula for a spreadsheet", () => {
    const places = [
      placeOfSample({ time: "1970-01-01T00:00:01Z", value: -1.5, quality: "good" }),
      placeOfSample({ time: "1970-01-01T00:00:02Z", value: '=HYPERLINK("x"),1', quality: ["invalid", "overflow"] }),
      placeOfSample({ time: "1970-01-01T00:00:09Z", value: 3, quality: "good" }),
    ];
    expect(csvOf([{ id: "d:t:i", places }], 0, 5).split("\r\n")).toEqual([
      "device_id,term_id,item_id,time,value,min,max,quality,samples",
      "d,t,i,1970-01-01T00:00:01Z,-1.5,-1.5,-1.5,good,1",
      `d,t,i,1970-01-01T00:00:02Z,"'=HYPERLINK(""x""),1",,,invalid overflow,1`,
      "",
    ]);
  });
});
