// Shows what becomes of the scans that were sent, as it happens: one held request at a time.
"use strict";

const ASKED_AT_ONCE = 200; // jobs are done about in the order in which they came: the oldest have the news
const WAIT_S = 20;
const [SHORTEST_MS, LONGEST_MS] = [700, 10e3];

const followed = new Map(); // items by the ids of their unfinished jobs, oldest first
let isFollowing = false;

async function follow() {
  if (isFollowing) return;
  isFollowing = true;
  let pause = SHORTEST_MS;
  while (followed.size > 0) {
    const began = Date.now();
    try {
      const hasNews = await askForNews();
      // An answer that came at once and says nothing new: the server holds as many requests as it may.
      pause = hasNews || Date.now() - began > 2000 ? SHORTEST_MS : Math.min(pause * 1.5, LONGEST_MS);
    } catch {
      pause = LONGEST_MS;
    }
    if (followed.size > 0) await sleep(pause);
  }
  isFollowing = false;
  endIfDone();
}

async function askForNews() {
  const ids = [...followed.keys()].slice(0, ASKED_AT_ONCE);
  const answer = await fetch(`/api/jobs/status?wait=${WAIT_S}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ids }),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const { data, not_found: gone } = await answer.json();
  const news = data.filter(takeJob);
  for (const id of gone) {
    change(followed.get(id), { state: "cancelled" });
    followed.delete(id);
  }
  return news.length + gone.length > 0;
}

/** True if the job is not as it was. */
function takeJob(job) {
  const item = followed.get(job.id);
  const state = outcomeOf(job);
  if (!item || state === item.state) return false;
  change(item, { state, reason: job.error ? word("analysis-failed") : "" });
  if (ENDED.includes(state)) followed.delete(job.id);
  return true;
}

function outcomeOf({ status, result }) {
  if (status !== "succeeded") return status;
  if (result.status === "rejected") return "rejected";
  if (result.review === "needs_review" || result.prediction === null) return "needs_review";
  return result.prediction === "Tumor" ? "tumor" : "no_tumor";
}

/** Have the analysis done once more. */
async function retryAnalysis(item) {
  const answer = await fetch(`/api/jobs/${item.jobId}/retry`, { method: "POST" }).catch(() => null);
  if (answer?.status !== 202 && answer?.status !== 409) {
    change(item, { reason: word("retry-failed") });
    return;
  }
  change(item, { state: "queued", reason: "" });
  followed.set(item.jobId, item);
  follow();
}
