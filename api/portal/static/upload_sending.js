// Sends files to the JSON routes: a few in each request, a few requests at a time. Each request carries an
// Idempotency-Key and keeps it when it is sent again: whatever got lost on the way, nothing is made twice.
"use strict";

const SENDERS = 3;
const FILES_AT_ONCE = 8;
const BYTES_AT_ONCE = 4e6;
const FORM_BYTES = 20e3; // of a request beside its files
const MOST_TRIES = 6; // without an answer; a server that asks to wait is waited for
const SILENCE_MS = 60e3; // without anything sent or answered, then the connection is taken for lost
const BUSY_S = 5; // where a busy server does not say for how long

let pausedUntil = 0;

function sleep(milliseconds) {
  return new Promise((wake) => setTimeout(wake, milliseconds));
}

/** Not `randomUUID`: browsers have that over https only. */
function newKey() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((part) => part.toString(16).padStart(8, "0")).join("");
}

/** A run: what is sent by one press of the button, into one batch. A few files alone need none: they come first. */
function startRun(chosen) {
  const bytes = chosen.reduce((sum, item) => sum + item.size, 0);
  const isSmall = chosen.length <= Number(uploader.dataset.few) && bytes <= BYTES_AT_ONCE
    && chosen.every((item) => !item.isArchive);
  const run = { isSmall, batch: null, isStopped: false, requests: new Set(), name: batchName() };
  for (const item of chosen) change(item, { state: "waiting", run });
  run.parts = partsOf(run, chosen);
  runs.push(run);
  return run;
}

function partsOf(run, chosen) {
  const parts = [];
  let bytes = 0;
  for (const item of chosen) {
    const last = parts.at(-1);
    const fits = last && !item.isArchive && !last.items[0].isArchive
      && last.items.length < FILES_AT_ONCE && bytes + item.size <= BYTES_AT_ONCE;
    if (fits) {
      last.items.push(item);
      bytes += item.size;
    } else {
      parts.push({ run, items: [item], key: newKey() });
      bytes = item.size;
    }
    item.part = parts.at(-1);
  }
  return parts;
}

async function sendRun(run) {
  if (!run.isSmall && !(await makeBatch(run))) return;
  const sender = async () => {
    for (let part; (part = run.parts.shift()); ) await sendPart(part);
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
}

async function makeBatch(run) {
  if (run.batch) return true;
  run.key ??= newKey();
  const body = JSON.stringify({ name: run.name });
  const answer = await persist(run, () => post(run, "/api/batches", body, run.key, () => {}));
  if (answer?.status === 201) {
    run.batch = answer.body.batch_id;
    return true;
  }
  const lost = run.parts.splice(0);
  for (const part of lost) endUnsent(part, answer);
  return false;
}

async function sendPart(part) {
  const { run } = part;
  const address = run.isSmall ? "/api/admin/scans/upload" : `/api/batches/${run.batch}/scans`;
  const answer = await persist(run, () => {
    for (const item of part.items) change(item, { state: "sending", sent: 0, reason: "" });
    return post(run, address, formOf(part), part.key, (share) => showSent(part, share));
  }, () => {
    for (const item of part.items) change(item, { state: "waiting", sent: 0 });
  });
  if (answer?.body?.results) takeResults(part, answer.body);
  else endUnsent(part, answer);
}

function formOf({ items: [first, ...others] }) {
  const form = new FormData();
  if (first.isArchive) {
    form.append("archive", first.file);
    if (first.manifest) form.append("manifest", first.manifest);
    return form;
  }
  form.append("patient_id", uploader.dataset.patient);
  for (const item of [first, ...others]) form.append("files", item.file, item.file.name);
  return form;
}

/** Files go one after the other: so many bytes of the request are the first files whole and part of the next. */
function showSent(part, share) {
  let left = share * part.items.reduce((sum, item) => sum + item.size, 0);
  for (const item of part.items) {
    const sent = Math.min(left, item.size);
    if (sent !== item.sent) change(item, { sent });
    left -= sent;
  }
}

/** Ask until there is an answer that does not ask to wait. Null: the run was stopped, or nobody answers. */
async function persist(run, ask, onWait = () => {}) {
  for (let tries = 0; !run.isStopped && tries < MOST_TRIES; ) {
    while (pausedUntil > Date.now() && !run.isStopped) await sleep(Math.min(pausedUntil - Date.now(), 500));
    if (run.isStopped) break;
    const answer = await ask();
    if (answer?.status === 429 || answer?.status === 503) {
      pauseFor(answer.retryAfter);
    } else if (answer !== null && answer.status < 500) {
      return answer;
    } else if (!run.isStopped) {
      tries += 1;
      onWait();
      await sleep(500 * 2 ** tries);
      continue;
    }
    onWait();
  }
  return null;
}

function pauseFor(seconds) {
  const isNew = pausedUntil < Date.now();
  pausedUntil = Date.now() + seconds * 1000;
  if (isNew) tell(word("paused", { time: timeLeft(seconds) }));
  scheduleShow();
}

/** The answer's status, body and how long to wait; null if the connection was lost or nothing moved for long. */
function post(run, address, body, key, onShare) {
  return new Promise((settle) => {
    const request = new XMLHttpRequest();
    let silence = null;
    const moved = () => {
      clearTimeout(silence);
      silence = setTimeout(() => request.abort(), SILENCE_MS);
    };
    request.open("POST", address);
    request.setRequestHeader("Idempotency-Key", key);
    request.setRequestHeader("Prefer", "respond-async");
    if (typeof body === "string") request.setRequestHeader("Content-Type", "application/json");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      moved();
      if (event.lengthComputable) onShare(event.loaded / event.total);
    });
    request.addEventListener("loadend", () => {
      clearTimeout(silence);
      run.requests.delete(request);
      const retryAfter = Number(request.getResponseHeader("Retry-After")) || BUSY_S;
      settle(request.status ? { status: request.status, body: request.response, retryAfter } : null);
    });
    moved();
    run.requests.add(request);
    request.send(body);
  });
}

function takeResults(part, body) {
  part.run.batch ??= body.batch_id ?? null;
  const [first] = part.items;
  if (first.isArchive) {
    change(first, { state: "unpacked", sent: first.size });
    for (const result of body.results) {
      takeResult(addItem({ name: result.filename, size: null, state: "waiting", run: part.run }), result);
    }
  } else {
    part.items.forEach((item, index) => takeResult(item, body.results[index]));
  }
  follow();
}

function takeResult(item, result) {
  if (!result.success) {
    change(item, { state: "refused", sent: item.size ?? 0, reason: refusal(result.error) });
    return;
  }
  change(item, { state: "queued", sent: item.size ?? 0, jobId: result.job_id, scanId: result.scan_id, file: null });
  followed.set(result.job_id, item);
}

/** What was not taken: for good where something is wrong with it, else it can be sent again. */
function endUnsent(part, answer) {
  const isRefused = answer !== null && [400, 413, 415].includes(answer.status);
  const reason = answer === null ? word(part.run.isStopped ? "was-stopped" : "no-connection")
    : answer.status === 401 ? word("signed-out")
    : answer.status === 413 ? word("too-large-request")
    : refusal(answer.body?.error ?? "");
  const state = part.run.isStopped ? "stopped" : isRefused ? "refused" : "lost";
  for (const item of part.items) change(item, { state, sent: 0, reason });
}
