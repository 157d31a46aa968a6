import { expect, test } from "vitest";
import { csvOf } from "../src/ui/csv";
import { nextOf } from "../src/ui/paged";
import { fieldOfMoment, momentOfField } from "../src/ui/moment";

test("a CSV quotes what would break it and disarms formulas, but not numbers", () => {
  expect(csvOf(["a", "b"], [["x,y", 'say "hi"'], ["=1+1", -5], [null, true], ["two\nlines", "@cmd"]])).toBe(
    'a,b\r\n"x,y","say ""hi"""\r\n\'=1+1,-5\r\n,true\r\n"two\nlines",\'@cmd\r\n',
  );
});

test("a moment of a form field survives the way to UTC and back in both zones", () => {
  expect(momentOfField("2026-11-21T14:03:22", "utc")).toBe("2026-11-21T14:03:22.000Z");
  expect(fieldOfMoment("2026-11-21T14:03:22.5Z", "utc")).toBe("2026-11-21T14:03:22");
  expect(fieldOfMoment(momentOfField("2026-07-01T00:00:05", "local"), "local")).toBe("2026-07-01T00:00:05");
  expect(momentOfField("", "utc")).toBe("");
  expect(fieldOfMoment("yesterday", "local")).toBe("");
});

test("the next page is what the Link header names", () => {
  expect(nextOf('</api/v2/audit?limit=5&before=1-0>; rel="next"')).toBe("/api/v2/audit?limit=5&before=1-0");
  expect(nextOf('</docs>; rel="help", </api/v2/points?offset=5>; rel="next"')).toBe("/api/v2/points?offset=5");
  expect(nextOf('</x>; rel="prev"')).toBe("");
  expect(nextOf(null)).toBe("");
});
