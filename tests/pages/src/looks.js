// Every page in every look: no error in the console, no barrier for axe-core, nothing beside the screen; and a picture.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const LOOKS = [
  { name: "light", colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "phone", colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true },
];
/** Pages that are looked at at the same time. */
export const LANES = 2;
/** Milliseconds until a browser counts as stuck: no test waits for time to pass. */
export const PATIENCE = 120_000;

/** What looks for barriers in a page. */
export const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Names and tests, as `{name, run}`. */
export async function looks(browser, server, pictures) {
  // The page of a one-time link sends its form at once; here it is to be seen.
  server.changes.set("/login-link", (html) => html.replace("data-once", ""));
  const tests = [];
  for (const { name, ...options } of LOOKS) {
    // With motion a picture would depend on its moment.
    const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
    context.setDefaultTimeout(PATIENCE);
    for (const path of server.pages) {
      tests.push({ name: `${name}::${path.slice(1)}`, run: () => inspect(context, server, name, path, pictures) });
    }
  }
  return tests;
}

async function inspect(context, server, look, path, pictures) {
  const page = await context.newPage();
  try {
    const problems = watch(page);
    await page.goto(server.url + path, { waitUntil: "load" });
    await page.screenshot({ path: join(pictures, `${path.slice(1)}.${look}.png`), fullPage: true });
    problems.push(...(await barriers(page)), ...(await overflow(page)));
    if (problems.length > 0) throw new Error(problems.join("\n"));
  } finally {
    await page.close();
  }
}

/** What the page complains about while it is open. */
export function watch(page) {
  const problems = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("requestfailed", (request) => {
    // A listener is closed with its page.
    if (!request.url().includes("/events")) problems.push(`not loaded: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && response.request().method() === "GET") problems.push(`${response.status()}: ${response.url()}`);
  });
  return problems;
}

/** What keeps some people out. */
export async function barriers(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.flatMap((rule) =>
    rule.nodes.slice(0, 4).map((node) => `axe ${rule.id}: ${rule.help}\n    ${node.html.slice(0, 200)}\n    ${node.failureSummary?.replaceAll("\n", " ")}`),
  );
}

/** Nothing but what scrolls by itself may be wider than the screen. */
export async function overflow(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const scrolls = (element) => element && (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const wide = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > width + 1 && !scrolls(one.parentElement));
    return [`wider than the screen (${document.documentElement.scrollWidth} > ${width}): ${wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)).join(" | ")}`];
  });
}

/** Drops a file as a person does. */
export async function drop(page, name, text) {
  const data = await page.evaluateHandle(([file, content]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], file));
    return transfer;
  }, [name, text]);
  await page.dispatchEvent("[data-drop]", "drop", { dataTransfer: data });
}
