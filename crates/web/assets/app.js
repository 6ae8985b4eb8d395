// What every page has: colours, menus, keys, tables. Pages are whole without it.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Colours: kept in a cookie, so that the server can make the next page in them and nothing flashes.
for (const box of all("[data-themes]")) {
  box.hidden = false;
  box.addEventListener("change", (event) => {
    const theme = event.target.value;
    document.documentElement.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `helve_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  });
}

// Menus close when something else is pressed.
document.addEventListener("click", (event) => {
  for (const menu of all("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// The part of the navigation that is shown must be seen on a narrow screen.
const current = document.querySelector(".areas [aria-current]");
if (current) current.parentElement.scrollLeft = current.offsetLeft - current.parentElement.clientWidth / 2 + current.clientWidth / 2;

for (const button of all("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// Decisions about many findings: the form shows itself once something is chosen.
const bulk = document.querySelector("[data-bulk]");
if (bulk) {
  const picks = () => all("[data-pick]");
  const every = document.querySelector("[data-pick-all]");
  const whole = bulk.querySelector("[data-bulk-all]");
  const count = bulk.querySelector("[data-bulk-count]");
  const show = () => {
    const chosen = picks().filter((pick) => pick.checked).length;
    const wide = whole?.checked ?? false;
    bulk.classList.toggle("idle", chosen === 0 && !wide);
    count.textContent = wide
      ? `All ${whole.dataset.bulkAll}`
      : chosen === 0 ? "Select findings to decide about them" : `${chosen} selected`;
    if (every) {
      every.checked = chosen > 0 && chosen === picks().length;
      every.indeterminate = chosen > 0 && !every.checked;
    }
  };
  if (every) {
    every.hidden = false;
    every.addEventListener("change", () => {
      for (const pick of picks()) pick.checked = every.checked;
      show();
    });
  }
  // With the shift key, all rows from the last one that was pressed.
  let last = null;
  document.addEventListener("click", (event) => {
    const pick = event.target.closest?.("[data-pick]");
    if (!pick) return;
    const list = picks();
    if (event.shiftKey && last) {
      const [from, to] = [list.indexOf(last), list.indexOf(pick)].sort((a, b) => a - b);
      for (const one of list.slice(from, to + 1)) one.checked = pick.checked;
    }
    last = pick;
    show();
  });
  document.addEventListener("change", show);
  bulk.addEventListener("submit", (event) => {
    if (picks().every((pick) => !pick.checked) && !whole?.checked) event.preventDefault();
  });
  // A page that comes back from the browser's history has its boxes as they were.
  addEventListener("pageshow", show);
  show();
}

// Keys.
const keys = document.getElementById("keys");
for (const button of all("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => keys.showModal());
}
const rows = () => all("[data-rows] tbody tr");
const here = () => document.querySelector("[data-here]");
const move = (by) => {
  const list = rows();
  if (list.length === 0) return;
  const at = list.indexOf(here());
  const next = list[Math.min(Math.max(at + by, 0), list.length - 1)];
  here()?.removeAttribute("data-here");
  next.setAttribute("data-here", "");
  next.querySelector(".row-link")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
};
const places = { o: "/", r: "/runs", f: "/findings", w: "/workers" };
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of all("[data-menu][open]")) menu.open = false;
  const writing = event.target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, dialog");
  if (!keys || writing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (going && places[event.key]) {
    location.assign(places[event.key]);
    return;
  }
  going = event.key === "g";
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "x") here()?.querySelector("[data-pick]")?.click();
  else if (event.key === "?") keys.showModal();
  else if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// A one-time link is used at once: by a script, since a preview of the link runs none.
document.querySelector("form[data-once]")?.requestSubmit();
