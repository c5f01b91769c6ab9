// What scripts improve. Every page works without them.
"use strict";

const language = document.documentElement.lang;

/** Show dates in the viewer's zone; the server wrote them in UTC. */
function showLocalTimes(within) {
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  for (const element of within.querySelectorAll("time[datetime]")) {
    element.title = element.textContent;
    element.textContent = format.format(new Date(element.dateTime));
  }
}

/** Let a slider set how strongly the picture that it names covers the one below. */
function connectSliders(within) {
  const percent = new Intl.NumberFormat(language, { style: "percent" });
  for (const place of within.querySelectorAll("[data-slider]")) {
    const picture = document.getElementById(place.dataset.slider);
    const slider = place.querySelector("input");
    const output = place.querySelector("output");
    const apply = () => {
      picture.style.opacity = slider.value / 100;
      output.textContent = percent.format(slider.value / 100);
      slider.setAttribute("aria-valuetext", output.textContent);
    };
    slider.addEventListener("input", apply);
    place.querySelector("[data-with-script]").hidden = false;
    place.querySelector("[data-without-script]").hidden = true;
    apply();
  }
}

/** The jobs that the live region waits for, with the statuses that it shows. */
function awaitedJobs() {
  const region = document.getElementById("live");
  const words = region?.dataset.jobs ? region.dataset.jobs.split(" ") : [];
  return new Map(words.map((word) => word.split("=")));
}

async function hasNews(jobs) {
  const answer = await fetch("/api/jobs/status", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ids: [...jobs.keys()] }),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const { data } = await answer.json();
  return data.some((job) => jobs.get(job.id) !== job.status);
}

/** Put what the same page, or `data-from`, shows by now into the live region; what had the focus keeps it, boxes their ticks, and
 * what was unfolded stays so. */
async function renew({ tell }) {
  const answer = await fetch(document.getElementById("live").dataset.from ?? location.href);
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  const focused = document.activeElement?.id;
  const old = document.getElementById("live");
  const ticked = [...old.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.id);
  old.replaceWith(document.adoptNode(fresh));
  for (const opened of old.querySelectorAll("details[open][id]")) fresh.querySelector(`#${opened.id}`)?.setAttribute("open", "");
  for (const box of fresh.querySelectorAll("input[type=checkbox]")) box.checked = ticked.includes(box.id);
  improve(fresh);
  if (focused) document.getElementById(focused)?.focus();
  if (!tell) return;
  document.getElementById("news").textContent = [...fresh.querySelectorAll(".badge")]
    .slice(0, 1).map((badge) => badge.textContent).join();
}

async function follow() {
  const [first, longest] = [1500, 15000];
  let pause = first;
  for (let jobs = awaitedJobs(); jobs.size > 0; jobs = awaitedJobs()) {
    await new Promise((wake) => setTimeout(wake, pause));
    pause = Math.min(pause * 1.3, longest);
    if (document.hidden) continue;
    try {
      if (await hasNews(jobs)) {
        await renew({ tell: true });
        pause = first;
      }
    } catch {
      pause = longest; // the network or the server is away for a while
    }
  }
}

/** Renew a live region that asks for it every so many seconds, for as long as it asks. */
async function keepFresh() {
  let failures = 0;
  for (let every; (every = Number(document.getElementById("live")?.dataset.every)) > 0;) {
    await new Promise((wake) => setTimeout(wake, every * 1000 * Math.min(2 ** failures, 8)));
    if (document.hidden) continue;
    try {
      await renew({ tell: false });
      failures = 0;
    } catch {
      failures += 1;
    }
  }
}

function improve(within) {
  showLocalTimes(within);
  connectSliders(within);
}

improve(document);
follow();
keepFresh();
