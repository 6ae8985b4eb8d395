// Keeps a page fresh: fetches it again when an event comes or when it is time, and swaps the parts that changed.
// A part is an element with an id and the attribute `data-live`. The server makes each part in one way only.
"use strict";

{
  // Between two fetches, in milliseconds: a run can send hundreds of events in a second.
  const LEAST = 1000;

  let fetching = false;
  let wanted = false;
  let last = 0;
  let timer = 0;

  const soon = () => {
    wanted = true;
    if (fetching || timer || document.hidden) return;
    timer = setTimeout(refresh, Math.max(0, last + LEAST - Date.now()));
  };

  const refresh = () => {
    timer = 0;
    wanted = false;
    fetching = true;
    // A document as answer: nothing here turns text into HTML, and its scripts do not run.
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.timeout = 20000;
    request.onloadend = () => {
      fetching = false;
      last = Date.now();
      if (request.status === 200 && request.response) swap(request.response);
      // Somebody who is no longer logged in is led to the login by a reload, not by silence.
      if (request.status === 401) location.reload();
      if (wanted) soon();
    };
    request.send();
  };

  const swap = (fresh) => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const part = fresh.getElementById(old.id);
      if (!part || part.isEqualNode(old) || inUse(old)) continue;
      const tail = old.querySelector("[data-tail]");
      const atEnd = !tail || tail.scrollTop + tail.clientHeight >= tail.scrollHeight - 8;
      const top = tail?.scrollTop ?? 0;
      const lefts = [...old.querySelectorAll(".graph")].map((graph) => graph.scrollLeft);
      const open = [...old.querySelectorAll("details")].map((one) => one.open);
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const part2 = document.adoptNode(part);
      old.replaceWith(part2);
      part2.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? one.open; });
      part2.querySelectorAll(".graph").forEach((graph, i) => { graph.scrollLeft = lefts[i] ?? 0; });
      const fresher = part2.querySelector("[data-tail]");
      if (fresher) fresher.scrollTop = atEnd ? fresher.scrollHeight : top;
      if (focused) [...part2.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
    }
    if (document.title !== fresh.title) document.title = fresh.title;
    if (!fresh.body.dataset.events) source?.close();
  };

  // What somebody has opened, selects or writes into is left alone until they are done.
  const inUse = (part) => {
    const active = document.activeElement;
    const writes = part.contains(active) && active.matches("input, select, textarea, button, summary");
    const selection = getSelection();
    const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
    return writes || selects || part.querySelector("[data-menu][open]") !== null;
  };

  const { every, events, names } = document.body.dataset;
  let source = null;
  if (events) {
    source = new EventSource(events);
    for (const name of names.split(" ")) source.addEventListener(name, soon);
    // After a break, what was missed is in the page itself.
    source.addEventListener("open", soon);
  }
  if (every) setInterval(soon, Number(every) * 1000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (wanted || every)) soon();
  });
  for (const tail of document.querySelectorAll("[data-tail]")) tail.scrollTop = tail.scrollHeight;
}
