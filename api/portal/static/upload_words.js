// Words, sizes and times of the upload pages. The texts stand in templates of the page, in its language.
"use strict";

const words = new Map();
for (const element of document.getElementById("words").content.querySelectorAll("[data-word]")) {
  words.set(element.dataset.word, element.textContent);
}
const refusals = [];
for (const element of document.getElementById("words").content.querySelectorAll("[data-refusal]")) {
  refusals.push([sentencePattern(element.dataset.refusal), element.textContent]);
}
const units = new Map();

/** A text of the page with its `{names}` filled in. */
function word(key, values = {}) {
  return words.get(key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** `line %(line)s is damaged.` as a pattern that finds the line. */
function sentencePattern(text) {
  const escaped = text.replace(/[.*+?^$()[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replace(/%\\\((\w+)\\\)s/g, "(?<$1>.+)")}$`);
}

/** Why the API refused a file, in the page's language where that is known. */
function refusal(answer) {
  const sentence = answer.replace(/^(?:archive|manifest|files): (.)/, (_, first) => first.toUpperCase());
  for (const [pattern, text] of refusals) {
    const found = pattern.exec(sentence);
    if (found) return text.replace(/%\((\w+)\)s/g, (_, name) => found.groups[name]);
  }
  return sentence;
}

function inUnit(number, unit, digits = 0) {
  const key = `${unit} ${digits}`;
  if (!units.has(key)) {
    const options = { style: "unit", unit, unitDisplay: digits ? "short" : "long", maximumFractionDigits: digits };
    units.set(key, new Intl.NumberFormat(language, options));
  }
  return units.get(key).format(number);
}

function fileSize(bytes) {
  if (bytes < 1000) return inUnit(bytes, "byte");
  return bytes < 1e6 ? inUnit(Math.round(bytes / 1e3), "kilobyte", 1) : inUnit(bytes / 1e6, "megabyte", 1);
}

function timeLeft(seconds) {
  if (seconds < 60) return inUnit(Math.max(Math.ceil(seconds / 5) * 5, 5), "second");
  return seconds < 5400 ? inUnit(Math.ceil(seconds / 60), "minute") : inUnit(Math.ceil(seconds / 3600), "hour");
}

function count(number) {
  return number.toLocaleString(language);
}
