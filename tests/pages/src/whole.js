// A person's first hour with a real `helve up`: from the printed link to a decision about a finding.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { barriers, drop, overflow, PATIENCE, watch } from "./looks.js";

/** Starts the program on any free ports; returns where it is, and the link for the browser. */
async function up(helve) {
  const dir = await mkdtemp(join(tmpdir(), "helve-pages-"));
  const args = ["up", "--data-dir", dir, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
  const child = spawn(helve, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, NO_COLOR: "1" } });
  const said = [];
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const link = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      said.push(line);
      const found = line.match(/^login\s+(\S+)/);
      if (found) resolve(found[1]);
    });
    child.once("exit", () => reject(new Error(`it ended at once:\n${said.join("\n")}`)));
  });
  const stop = async () => {
    child.kill("SIGINT");
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  return { link, url: new URL(link).origin, stop };
}

/** A key that looks real and opens nothing, put together here so that no scanner finds it in this file. */
const KEY = ["AKIA", "Q3EGRIVJ", "TEXAMPL2"].join("");

async function hour({ page, still, server, pictures }) {
  let shots = 0;
  const look = async (name) => {
    shots += 1;
    await page.screenshot({ path: join(pictures, `whole-${String(shots).padStart(2, "0")}-${name}.png`), fullPage: true });
    const found = [...(await barriers(page)), ...(await overflow(page))];
    if (found.length > 0) throw new Error(`${name}: ${found.join("\n")}`);
  };

  // Nobody comes in without a session, and a link works once.
  await still.goto(`${server.url}/runs`);
  await still.getByLabel("Access token").waitFor();
  await page.goto(server.link);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await page.waitForURL(`${server.url}/`);
  await look("overview-empty");
  await still.goto(server.link);
  await still.getByRole("button", { name: "Sign in" }).click();
  await still.getByRole("alert").waitFor();

  // A run from a dropped file, followed to its end without being loaded again.
  await page.getByRole("link", { name: /start/i }).first().click();
  await page.goto(`${server.url}/start/secrets-scan`);
  await drop(page, "settings.py", `KEY = "${KEY}"\n`);
  await look("start");
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.waitForURL("**/runs/secrets-scan-*");
  await page.evaluate(() => { globalThis.same = true; });
  await page.getByText("Completed").first().waitFor();
  assert.equal(await page.evaluate(() => globalThis.same), true, "the page was loaded again");
  await page.getByText("settings.py").first().waitFor();
  await look("run");

  // What it found is in the index a moment later; it is decided about.
  await findings(page, server.url, 1);
  await look("findings");
  await page.locator("tbody .row-link").first().click();
  await page.waitForURL("**/findings/*");
  assert.ok(!(await page.content()).includes(KEY), "the page shows the key");
  await look("finding");
  await page.getByLabel("Confirmed").check();
  await page.getByLabel("Comment").first().fill("<b>rotate it</b>");
  await page.getByRole("button", { name: /save|decide/i }).first().click();
  await page.getByText("<b>rotate it</b>").first().waitFor();

  // Everything else there is to see.
  for (const path of ["/", "/runs", "/workflows", "/workflows/assessment", "/modules", "/workers", "/schedules", "/settings", "/settings/audit"]) {
    const answer = await page.goto(`${server.url}${path}`);
    assert.equal(answer.status(), 200, path);
    await look(path === "/" ? "overview" : path.slice(1).replaceAll("/", "-"));
  }
  await page.getByText("finding.triage").first().waitFor();
}

/** Waits until the list of findings has so many. */
async function findings(page, url, count) {
  const end = Date.now() + PATIENCE;
  do {
    await page.goto(`${url}/findings`);
    if (Date.now() > end) throw new Error("the finding never came into the index");
  } while ((await page.locator("tbody .row-link").count()) < count);
}

/** The test, as `{name, run}`. */
export function whole(browser, helve, pictures) {
  const run = async () => {
    const server = await up(helve);
    const scripted = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
    const plain = await browser.newContext({ javaScriptEnabled: false });
    for (const context of [scripted, plain]) context.setDefaultTimeout(PATIENCE);
    try {
      const page = await scripted.newPage();
      const problems = watch(page);
      await hour({ page, still: await plain.newPage(), server, pictures });
      if (problems.length > 0) throw new Error(problems.join("\n"));
    } finally {
      await scripted.close();
      await plain.close();
      await server.stop();
    }
  };
  return { name: "whole::a first hour with helve up", run };
}
