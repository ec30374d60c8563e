// The newest events as they come: rows that the server made, put on top of the list. Without this file the page still
// works, and shows what had passed when it was loaded.
"use strict";

const ROWS_MAX = 30;

function follow(list) {
  const status = document.getElementById("live-status");
  const say = (name) => {
    status.textContent = status.dataset[name];
    status.className = "badge " + (name === "on" ? "good" : "quiet");
  };
  const stream = new EventSource(list.dataset.stream);
  stream.addEventListener("open", () => say("on"));
  stream.addEventListener("error", () => say("off"));
  stream.addEventListener("full", () => {
    stream.close();
    say("off");
  });
  stream.addEventListener("passed", (event) => {
    const holder = document.createElement("template");
    holder.innerHTML = event.data;
    const row = holder.content.firstElementChild;
    row.classList.add("fresh");
    list.prepend(row);
    while (list.children.length > ROWS_MAX) list.lastElementChild.remove();
    document.getElementById("live-none")?.remove();
  });
  window.addEventListener("pagehide", () => stream.close());
}

// A page that the back button brings out of memory is old: its stream is closed, its figures and its form's token too.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

document.addEventListener("DOMContentLoaded", () => {
  const list = document.getElementById("live-list");
  if (list) follow(list);
});

// A part that renews itself stands still while somebody is in it: focus and what was opened would be lost.
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = event.target;
  if (part.contains(document.activeElement) || part.querySelector("details[open]")) event.preventDefault();
});
