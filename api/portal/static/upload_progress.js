// How far all files of the upload pages are, and how long the rest will take.
"use strict";

const runs = []; // each press of the button
let began = null; // when the first file left
let firstEnd = null; // when the first result came

function showProgress() {
  const sendable = [...items].filter((item) => item.size !== null && item.state !== "refused" && item.state !== "stopped");
  const bytes = sendable.reduce((sum, item) => sum + item.size, 0);
  const sent = sendable.reduce((sum, item) => sum + item.sent, 0);
  const unsent = numberOf(UNSENT);
  const ended = numberOf(ENDED);
  const taken = ended + numberOf("queued", "running");
  if (ended > 0) firstEnd ??= Date.now();
  const isBusy = runs.some((run) => !run.isOver) || followed.size > 0;
  setBar("sent", bytes, sent, word("sent", { done: count(sendable.length - unsent), all: count(sendable.length), bytes: fileSize(bytes) }));
  setBar("analysed", taken, ended, word("analysed", { done: count(ended), all: count(taken) }));
  document.getElementById("left").textContent = isBusy
    ? leftText(bytes - sent, bytes, unsent + taken - ended, ended)
    : began === null ? "" : finishedText();
  showButton("send", numberOf("ready") > 0 && numberOf("checking") === 0);
  showButton("stop", isBusy);
  showButton("resend", numberOf("lost") > 0 && !isBusy);
  showButton("retry", numberOf("failed") > 0);
  document.getElementById("done").hidden = isBusy || taken === 0;
  for (const place of document.querySelectorAll("[data-progress]")) place.hidden = began === null;
}

function finishedText() {
  const bad = numberOf("failed", "lost", "refused", "cancelled", "stopped");
  return word("finished", { good: count(numberOf(ANALYSED)), bad: count(bad) });
}

/** Who has just pressed a button that goes away stays at the files. */
function showButton(id, isShown) {
  const button = document.getElementById(id);
  const hadFocus = document.activeElement === button;
  button.hidden = !isShown;
  if (hadFocus && !isShown) document.getElementById("uploads-title").focus();
}

function setBar(id, most, value, text) {
  const bar = document.getElementById(id);
  bar.max = Math.max(most, 1);
  bar.value = value;
  document.getElementById(`${id}-text`).textContent = text;
}

function leftText(bytesLeft, bytes, filesLeft, ended) {
  const pause = (pausedUntil - Date.now()) / 1000;
  if (pause > 0) {
    setTimeout(scheduleShow, 1000);
    return word("paused", { time: timeLeft(pause) });
  }
  const now = Date.now();
  const rate = (bytes - bytesLeft) / (now - began);
  const sending = bytesLeft > 0 && rate > 0 ? bytesLeft / rate : 0;
  const pace = ended > 1 && now > firstEnd ? (ended - 1) / (now - firstEnd) : 0;
  const analysing = pace > 0 ? filesLeft / pace : 0;
  const seconds = Math.max(sending, analysing) / 1000;
  return now - began > 3000 && seconds > 0 ? word("left", { time: timeLeft(seconds) }) : word("working");
}
