// The form that starts a run: a place to drop a file, and progress while it is sent. Without the script the same form is
// sent by the browser itself.
"use strict";

for (const form of document.querySelectorAll("[data-upload]")) {
  const find = (name) => form.querySelector(`[data-${name}]`);
  const drop = find("drop");
  const input = drop.querySelector("input[type=file]");
  const error = find("upload-error");
  const progress = find("progress");
  const bar = progress.querySelector("progress");
  const text = find("progress-text");
  const submit = form.querySelector("button[type=submit]");

  const fail = (message) => {
    error.textContent = message;
    error.hidden = false;
    progress.hidden = true;
    submit.disabled = false;
  };

  find("drop-hint").hidden = false;
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    const [item] = event.dataTransfer.items;
    if (item?.webkitGetAsEntry?.()?.isDirectory) {
      fail("A folder cannot be sent by a browser as it is: pack it (tar or zip), or use the command line.");
      return;
    }
    error.hidden = true;
    input.files = event.dataTransfer.files;
  });
  // A file beside the area must not replace the page.
  for (const kind of ["dragover", "drop"]) {
    addEventListener(kind, (event) => {
      if (!drop.contains(event.target)) event.preventDefault();
    });
  }

  const size = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    let n = bytes;
    while (n >= 1024 && unit < units.length - 1) {
      n /= 1024;
      unit += 1;
    }
    return `${unit === 0 ? n : n.toFixed(1)} ${units[unit]}`;
  };

  form.addEventListener("submit", (event) => {
    const [file] = input.files;
    if (!file) return;
    event.preventDefault();
    if (file.size > Number(input.dataset.limit)) {
      fail(`The file has ${size(file.size)}, and this server takes ${size(Number(input.dataset.limit))} at most.`);
      return;
    }
    error.hidden = true;
    submit.disabled = true;
    progress.hidden = false;
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.responseType = "document";
    request.upload.onprogress = (sent) => {
      const share = sent.lengthComputable ? Math.floor((sent.loaded / sent.total) * 100) : 0;
      bar.value = share;
      text.textContent = share < 100 ? `${size(sent.loaded)} of ${size(sent.total)}` : "Starting…";
    };
    request.onload = () => {
      if (request.status < 300) {
        location.assign(request.responseURL);
        return;
      }
      // The server answers with the form again, with what was wrong; or with a page that says it.
      const main = request.response?.querySelector("main");
      if (!main) {
        fail(`The server refused it (${request.status}).`);
        return;
      }
      const problems = [...main.querySelectorAll("[role=alert]:not([hidden]), .field-error:not([hidden])")];
      const lines = problems.map((one) => one.textContent.trim()).filter(Boolean);
      const heading = main.querySelector("h1")?.textContent.trim();
      fail(lines.join(" · ") || heading || `The server refused it (${request.status}).`);
    };
    request.onerror = () => fail("The connection broke. Nothing was started; try again.");
    request.onabort = () => fail("Stopped. Nothing was started.");
    find("progress-stop").onclick = () => request.abort();
    request.send(new FormData(form));
  });
}
