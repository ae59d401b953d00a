// Times, timers and the live log. Everything here only adds to pages that read well without it.

const serverNow = Date.parse(document.documentElement.dataset.now);
const clockOffset = serverNow - Date.now();
const now = () => Date.now() + clockOffset;

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

function ago(seconds) {
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86400)}d ago`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  for (const timer of document.querySelectorAll("[data-since]")) {
    setText(timer, duration((now() - Date.parse(timer.dataset.since)) / 1000));
  }
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const moment = Date.parse(time.getAttribute("datetime"));
    setText(time, ago((now() - moment) / 1000));
    if (!time.dataset.local) {
      time.dataset.local = "yes";
      time.title = new Date(moment).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  }
}
tick();
setInterval(tick, 1000);

// Escape leaves an open confirmation and gives the focus back.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.confirm[open]")) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

// One click, one request.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button")) button.disabled = true;
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;
});

function block(log, data) {
  const id = `log-${data.block}`;
  const found = document.getElementById(id);
  if (found) return found.querySelector("pre");
  const section = document.createElement("section");
  section.id = id;
  section.setAttribute("aria-label", data.title);
  section.append(document.createElement("h3"), document.createElement("pre"));
  section.querySelector("h3").textContent = data.title;
  log.querySelector(".nothing")?.remove();
  log.append(section);
  return section.querySelector("pre");
}

function follow(log) {
  const state = document.getElementById("live-state");
  const switchBox = document.getElementById("follow");
  const stream = new EventSource(log.dataset.stream);
  const say = (text) => state && setText(state, text);
  stream.onopen = () => say("Live");
  stream.onerror = () => say(stream.readyState === EventSource.CLOSED ? "Not live: reload the page" : "Reconnecting…");
  stream.addEventListener("output", (message) => {
    const data = JSON.parse(message.data);
    // The server has escaped this text and written its only tags itself (api/web/ansi.py).
    const lines = block(log, data);
    if (data.anew) lines.replaceChildren();
    lines.insertAdjacentHTML("beforeend", data.html);
    if (switchBox?.checked) window.scrollTo({ top: document.documentElement.scrollHeight });
  });
  stream.addEventListener("changed", () => document.body.dispatchEvent(new CustomEvent("run-changed")));
  stream.addEventListener("end", () => {
    stream.close();
    say("Finished");
    document.body.dispatchEvent(new CustomEvent("run-changed"));
  });
  window.addEventListener("pagehide", () => stream.close());
  // Whoever scrolls up reads: stop following.
  window.addEventListener("wheel", (event) => {
    if (event.deltaY < 0 && switchBox) switchBox.checked = false;
  }, { passive: true });
}

const log = document.getElementById("log");
if (log?.dataset.stream) follow(log);
for (const control of document.querySelectorAll("[data-needs-script]")) control.hidden = false;
