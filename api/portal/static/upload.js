// The upload pages with scripts: files are chosen or dropped, checked, sent some at a time, and followed to their results.
"use strict";

const uploader = document.getElementById("uploader");
const form = document.getElementById("upload");
let limits = null; // what one request may bring, once the server has said it
let lastRun = Promise.resolve();

const MAGIC = [
  ["image", [0x89, 0x50, 0x4e, 0x47]],
  ["image", [0xff, 0xd8]],
  ["archive", [0x50, 0x4b]],
];

function tell(text) {
  document.getElementById("news").textContent = text;
}

function batchName() {
  return document.getElementById("name").value.trim() || null;
}

async function learnLimits() {
  const answer = await fetch("/api/batches/limits");
  if (answer.ok) limits = (await answer.json()).data;
}

/** What a file is by its first bytes: its name and the browser's guess prove nothing. */
async function kindOf(file) {
  const bytes = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  return MAGIC.find(([, magic]) => magic.every((byte, at) => bytes[at] === byte))?.[0] ?? null;
}

async function check(file) {
  if (file.size === 0) return { state: "refused", reason: refusal("The file is empty.") };
  if (limits && file.size + FORM_BYTES > limits.max_request_bytes) {
    return { state: "refused", reason: word("too-large", { most: fileSize(limits.max_request_bytes) }) };
  }
  const kind = await kindOf(file).catch(() => undefined);
  if (kind === undefined) return { state: "refused", reason: word("unreadable") };
  if (kind === "archive") return { state: "ready", isArchive: true };
  if (kind === "image" && uploader.dataset.patient) return { state: "ready" };
  return { state: "refused", reason: word(kind === "image" ? "needs-archive" : "wrong-type") };
}

/** Take files into the list, each but once, and say of each whether it can be sent. */
async function addFiles(files) {
  const known = new Set([...items].map((item) => item.mark));
  const fresh = [...files].filter((file) => {
    const mark = markOf(file);
    return !known.has(mark) && known.add(mark);
  });
  document.getElementById("uploads").hidden = false;
  const added = fresh.map((file) => addItem({ name: file.name, size: file.size, file, mark: markOf(file), state: "checking" }));
  for (const item of added) change(item, await check(item.file));
  const usable = added.filter((item) => item.state === "ready").length;
  tell(word("added", { usable: count(usable), refused: count(added.length - usable) }));
}

function markOf(file) {
  return [file.name, file.size, file.lastModified, file.webkitRelativePath].join("\n");
}

/** Everything that was dropped; of folders all files in them. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found = [];
  for (let entry; (entry = entries.shift()); ) {
    if (entry.isFile) found.push(await new Promise((take, fail) => entry.file(take, fail)));
    else entries.unshift(...(await entriesIn(entry)));
  }
  return found.filter((file) => !file.name.startsWith("."));
}

async function entriesIn(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((take, fail) => reader.readEntries(take, fail)); // some at a time, then none
    if (some.length === 0) return found;
    found.push(...some);
  }
}

function send() {
  const ready = inState("ready");
  if (ready.length === 0) {
    tell(word("nothing-ready"));
    document.querySelector("#upload input[type=file]").focus();
    return;
  }
  const manifest = document.getElementById("manifest")?.files[0];
  for (const item of ready) if (item.isArchive) item.manifest = manifest;
  began ??= Date.now();
  tell(word("started", { all: count(ready.length) }));
  begin(startRun(ready));
}

/** One run after the other. */
function begin(run) {
  run.isOver = false;
  run.done = lastRun.then(() => sendRun(run)).then(() => {
    run.isOver = true;
    scheduleShow();
    endIfDone();
  });
  lastRun = run.done;
  scheduleShow();
}

/** Send what was lost once more, with its old key: perhaps only the answer had got lost. */
function resend(lost) {
  const parts = new Set(lost.map((item) => item.part));
  for (const run of new Set(lost.map((item) => item.run))) {
    run.parts = [...parts].filter((part) => part.run === run);
    for (const part of run.parts) for (const item of part.items) change(item, { state: "waiting", reason: "" });
    begin(run);
  }
}

/** Send no more, and cancel the analyses that have not begun. */
async function stopAll() {
  document.getElementById("stop").disabled = true;
  for (const run of runs) {
    run.isStopped = true;
    for (const part of run.parts.splice(0)) endUnsent(part, null);
    if (!run.isSmall) for (const request of run.requests) request.abort(); // its batch is closed to it just below
  }
  await lastRun;
  const batches = new Set(runs.map((run) => run.batch).filter(Boolean));
  await Promise.all([...batches].map((batch) => fetch(`/api/batches/${batch}`, { method: "DELETE" }).catch(() => null)));
  tell(word("stopped"));
  document.getElementById("stop").disabled = false;
  scheduleShow();
}

/** Everything has ended: say so once, lead on, and let the page be left. */
function endIfDone() {
  if (runs.some((run) => !run.isOver) || followed.size > 0) return;
  tell(finishedText());
  showBatches();
  const report = document.getElementById("report");
  if (report) {
    for (const old of report.querySelectorAll("[name=scan]")) old.remove();
    for (const item of inState("tumor", "no_tumor", "needs_review")) report.append(hiddenField("scan", item.scanId));
    report.hidden = numberOf("tumor", "no_tumor", "needs_review") === 0;
  }
  scheduleShow();
}

function showBatches() {
  const batches = [...new Set(runs.map((run) => run.batch).filter(Boolean))];
  document.getElementById("batches").replaceChildren(...batches.map((batch) => {
    const link = document.createElement("a");
    link.className = "button second";
    link.href = `${uploader.dataset.batches}/${batch}`;
    link.textContent = word("batch");
    return link;
  }));
}

function hiddenField(name, value) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name, value });
  return field;
}

function connect() {
  const drop = form.querySelector("[data-drop]");
  const chooser = form.querySelector("input[type=file]");
  chooser.addEventListener("change", () => {
    addFiles(chooser.files);
    chooser.value = ""; // so that the same file can be chosen again
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // a file that misses the area must not replace the page
      drop.classList.toggle("over", name === "dragover" && drop.contains(event.target));
    });
  }
  drop.addEventListener("drop", async (event) => addFiles(await filesOf(event.dataTransfer)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  document.getElementById("stop").addEventListener("click", stopAll);
  document.getElementById("resend").addEventListener("click", () => resend(inState("lost")));
  document.getElementById("retry").addEventListener("click", async () => {
    for (const item of inState("failed")) await retryAnalysis(item);
  });
  rows.addEventListener("click", ({ target }) => {
    const does = target.dataset.does;
    const item = does && itemOf.get(target.closest("tr"));
    if (does === "remove") removeItem(item);
    if (does === "resend") resend([item]);
    if (does === "retry") retryAnalysis(item);
  });
  addEventListener("beforeunload", (event) => {
    if (numberOf(UNSENT) > numberOf("lost")) event.preventDefault();
  });
  for (const element of document.querySelectorAll("[data-with-script]")) element.hidden = false;
  for (const element of document.querySelectorAll("[data-without-script]")) element.hidden = true;
}

connect();
learnLimits();
