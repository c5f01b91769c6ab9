// The list of files on the upload pages: one row for each, and above it how far all of them are.
"use strict";

const SHOW_EVERY_MS = 200; // however many files change meanwhile
const UNSENT = ["checking", "ready", "waiting", "sending", "lost"];
const ANALYSED = ["tumor", "no_tumor", "needs_review", "rejected"];
const ENDED = [...ANALYSED, "failed", "cancelled"];

const rows = document.querySelector("#uploads tbody");
const rowShape = document.getElementById("row").content.firstElementChild;
const stateShapes = document.getElementById("states").content;
const items = new Set(); // every file of this page
const itemOf = new WeakMap(); // by row
const counts = {}; // files by state
const changed = new Set();
let showTimer = null;

/** Take a file into the list. `facts`: name, size, state, and what its state needs. */
function addItem(facts) {
  const item = { sent: 0, ...facts, row: rowShape.cloneNode(true) };
  item.row.querySelector("[data-name]").textContent = item.name;
  item.row.querySelector("[data-size]").textContent = item.size === null ? "–" : fileSize(item.size);
  itemOf.set(item.row, item);
  items.add(item);
  counts[item.state] = (counts[item.state] ?? 0) + 1;
  changed.add(item);
  scheduleShow();
  return item;
}

function removeItem(item) {
  counts[item.state] -= 1;
  items.delete(item);
  changed.delete(item);
  item.row.remove();
  scheduleShow();
}

function change(item, facts) {
  if (facts.state && facts.state !== item.state) {
    counts[item.state] -= 1;
    counts[facts.state] = (counts[facts.state] ?? 0) + 1;
  }
  Object.assign(item, facts);
  changed.add(item);
  scheduleShow();
}

function numberOf(...states) {
  return states.flat().reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}

function inState(...states) {
  return [...items].filter((item) => states.includes(item.state));
}

function scheduleShow() {
  showTimer ??= setTimeout(() => {
    showTimer = null;
    const fresh = document.createDocumentFragment();
    for (const item of changed) {
      showRow(item);
      if (!item.row.isConnected) fresh.append(item.row);
    }
    changed.clear();
    rows.append(fresh);
    showProgress();
  }, SHOW_EVERY_MS);
}

function showRow(item) {
  const place = item.row.querySelector("[data-state]");
  if (item.shown !== item.state) {
    const badge = stateShapes.querySelector(`[data-state-of="${item.state}"]`).cloneNode(true);
    place.replaceChildren(...badge.childNodes);
    item.shown = item.state;
    showAction(item);
  }
  item.row.querySelector("[data-reason]").textContent =
    item.state === "sending" ? `${Math.round((100 * item.sent) / item.size)} %` : (item.reason ?? "");
}

/** What can be done about the file: look at the scan, or send or analyse it again. */
function showAction(item) {
  const place = item.row.querySelector("[data-action]");
  const hadFocus = place.contains(document.activeElement);
  const name = { ready: "remove", refused: "remove", lost: "resend", failed: "retry", cancelled: "retry" }[item.state];
  const parts = [];
  if (item.scanId) {
    const link = document.createElement("a");
    link.href = `${uploader.dataset.scans}?number=${item.scanId}`;
    link.textContent = word("open");
    link.setAttribute("aria-label", word("open-file", { name: item.name }));
    parts.push(link);
  }
  if (name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.dataset.does = name;
    button.textContent = word(name);
    button.setAttribute("aria-label", word(`${name}-file`, { name: item.name }));
    parts.push(button);
  }
  place.replaceChildren(...parts);
  if (hadFocus) item.row.focus();
}
