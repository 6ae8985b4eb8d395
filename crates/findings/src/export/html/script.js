"use strict";
// Filters the list. Everything is on the page already, so nothing is fetched and no markup is made.
(() => {
  const byId = (id) => document.getElementById(id);
  const form = byId("filters");
  const findings = [...document.querySelectorAll(".finding")];
  if (findings.length === 0) return;
  const texts = findings.map((item) => item.textContent.toLowerCase());
  const boxes = [...form.querySelectorAll("input[name=severity]")];
  const apply = () => {
    const words = byId("query").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const module = byId("module").value;
    const suppressed = byId("suppressed")?.checked ?? true;
    const unchanged = byId("unchanged")?.checked ?? true;
    let count = 0;
    findings.forEach((item, index) => {
      const { severity, module: of, state, baseline } = item.dataset;
      const show = severities.has(severity) && (module === "" || of === module)
        && (suppressed || state !== "suppressed") && (unchanged || baseline !== "unchanged")
        && words.every((word) => texts[index].includes(word));
      item.hidden = !show;
      if (show) count += 1;
    });
    byId("shown").textContent = `${count} of ${findings.length} findings shown`;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
  form.hidden = false;
  apply();
  // What is folded away belongs on paper, too.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((item) => { item.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((item) => { item.open = false; }));
})();
