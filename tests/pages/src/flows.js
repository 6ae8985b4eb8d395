// What people do on the pages, with the script and without it.

import assert from "node:assert/strict";

import { drop, PATIENCE, watch } from "./looks.js";

const FLOWS = {
  "a run's page follows its events without being loaded again": async ({ page, server }) => {
    await page.goto(`${server.url}/run-live`);
    await page.evaluate(() => { globalThis.same = true; });
    await until(() => server.listeners > 0);
    server.changes.set("/run-live", (html) => html.replaceAll("3 of 8 modules", "8 of 8 modules").replace("data-events", "data-was"));
    server.tell("log", { text: "8 of 8 modules" });
    await page.getByText("8 of 8 modules").waitFor();
    assert.equal(await page.evaluate(() => globalThis.same), true, "the page was loaded again");
    // The run is over: nobody listens any more.
    await until(() => server.listeners === 0);
  },
  "what somebody has unfolded is not taken away by an event": async ({ page, server }) => {
    await page.goto(`${server.url}/run-live`);
    await until(() => server.listeners > 0);
    await page.getByText("Terminate").first().click();
    server.changes.set("/run-live", (html) => html.replaceAll("3 of 8 modules", "9 of 9 modules"));
    server.tell("log", {});
    await page.getByText("9 of 9 modules").waitFor();
    assert.ok(await page.getByText("Ends the run at once").isVisible());
  },
  "a run's page is whole without scripts": async ({ still, server }) => {
    await still.goto(`${server.url}/run-live`);
    for (const text of ["reachability", "3 of 8 modules: settlement, refunds, ledger", "Live AWS access key"]) {
      await still.locator("td, th, li").getByText(text).first().waitFor();
    }
    await still.getByRole("button", { name: "Cancel" }).click();
    assert.match(server.forms[0].path, /^\/runs\/.*\/cancel$/);
    assert.match(server.forms[0].body, /^csrf=./);
  },
  "a dropped file is sent with the form, and its run is shown": async ({ page, server }) => {
    await page.goto(`${server.url}/start-form`);
    await page.getByLabel("Harness").fill("fuzz/parse.c");
    await drop(page, "libparse.tar.gz", "the target");
    assert.equal(await page.locator("#target-file").evaluate((input) => input.files[0].name), "libparse.tar.gz");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.waitForURL("**/run-done");
    const { body, type } = server.forms[0];
    assert.match(type, /^multipart\/form-data/);
    for (const part of ['name="csrf"', 'name="target"; filename="libparse.tar.gz"', "the target", 'name="p.harness"', "fuzz/parse.c", 'name="p.seconds"', "3600"]) {
      assert.ok(body.includes(part), `${part} in ${body}`);
    }
  },
  "a file is sent without scripts too": async ({ still, server }) => {
    await still.goto(`${server.url}/start-form`);
    await still.getByLabel("Harness").fill("fuzz/parse.c");
    await still.locator("#target-file").setInputFiles({ name: "a.zip", mimeType: "application/zip", buffer: Buffer.from("PK") });
    await still.getByRole("button", { name: "Start", exact: true }).click();
    await still.waitForURL("**/run-done");
    assert.ok(server.forms[0].body.includes('filename="a.zip"'));
  },
  "what the server refuses is said beside the button, and nothing typed is lost": async ({ page, server }) => {
    await page.goto(`${server.url}/start-form`);
    const action = await page.locator("form.start").getAttribute("action");
    server.answers.set(action, (response) => server.page(response, "/start-refused", 422));
    await page.getByLabel("Harness").fill("fuzz/parse.c");
    await drop(page, "a.zip", "x");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.locator("[data-upload-error]").getByText("There is no target").waitFor();
    assert.equal(await page.getByLabel("Harness").inputValue(), "fuzz/parse.c");
    assert.ok(await page.getByRole("button", { name: "Start", exact: true }).isEnabled());
  },
  "findings are chosen in a row and decided about together": async ({ page, server }) => {
    await page.goto(`${server.url}/findings`);
    assert.ok(!(await page.getByRole("button", { name: "Apply" }).isVisible()));
    const picks = page.locator("[data-pick]");
    await picks.nth(1).click();
    await picks.nth(4).click({ modifiers: ["Shift"] });
    await page.getByText("4 selected").waitFor();
    await page.getByLabel("Decide", { exact: true }).selectOption("false_positive");
    await page.getByLabel("Comment").fill("tests only");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL("**/run-done");
    const sent = new URLSearchParams(server.forms[0].body);
    assert.equal(sent.getAll("id").length, 4);
    assert.equal(sent.get("state"), "false_positive");
    assert.equal(sent.get("comment"), "tests only");
    assert.ok(sent.get("csrf") && sent.get("filter").includes("triage=open"));
  },
  "all findings of a page are chosen with one press": async ({ page, server }) => {
    await page.goto(`${server.url}/findings`);
    await page.locator("[data-pick-all]").click();
    await page.getByText("25 selected").waitFor();
    await page.getByLabel("All 10,127").check();
    await page.getByText("All 10,127", { exact: true }).waitFor();
  },
  "findings are decided about without scripts": async ({ still, server }) => {
    await still.goto(`${server.url}/findings`);
    await still.locator("[data-pick]").nth(2).check();
    await still.getByLabel("Decide", { exact: true }).selectOption("confirmed");
    await still.getByRole("button", { name: "Apply" }).click();
    await still.waitForURL("**/run-done");
    assert.equal(new URLSearchParams(server.forms[0].body).getAll("id").length, 1);
  },
  "a list is walked through with keys": async ({ page, server }) => {
    await page.goto(`${server.url}/findings`);
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "q");
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("j");
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByText("1 selected").waitFor();
    assert.ok(await page.locator("[data-pick]").nth(1).isChecked());
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("k");
    const href = await page.locator("[data-here] .row-link").getAttribute("href");
    const opened = page.waitForRequest((request) => new URL(request.url()).pathname === href);
    await page.route(`**${href}`, (route) => route.fulfill({ body: "opened" }));
    await page.keyboard.press("Enter");
    await opened;
  },
  "the first press of Tab offers to skip the navigation": async ({ page, server }) => {
    await page.goto(`${server.url}/overview`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  },
  "dark colours stay chosen": async ({ page, server }) => {
    await page.goto(`${server.url}/overview`);
    await page.locator(".side-end summary").click();
    await page.getByLabel("Dark").check();
    const back = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(back, "rgb(15, 19, 25)");
    assert.match(await page.evaluate(() => document.cookie), /helve_theme=dark/);
  },
  "a one-time link signs in by itself, and by a press without scripts": async ({ page, still, server }) => {
    await page.goto(`${server.url}/login-link`);
    await page.waitForURL("**/run-done");
    await still.goto(`${server.url}/login-link`);
    assert.equal(server.forms.length, 1, "the link was used without a press");
    await still.getByRole("button", { name: "Sign in" }).click();
    await still.waitForURL("**/run-done");
    assert.ok(server.forms.every((form) => form.path === "/login" && form.body.includes("code=9b1f5c70e2")));
  },
  "an inline script does not run on any page": async ({ page, server }) => {
    const attack = "<script>document.title='owned'</script><img src=/x onerror=\"document.title='owned'\">";
    server.changes.set("/finding", (html) => html.replace("<main", `${attack}<main`));
    const blocked = page.waitForEvent("console", (message) => message.text().includes("Content Security Policy"));
    await page.goto(`${server.url}/finding`);
    await blocked;
    assert.ok(!(await page.title()).includes("owned"));
    return "complains";
  },
};

/** Names and tests, as `{name, run}`. Each has a server's memory of its own. */
export function flows(browser, start) {
  return Object.entries(FLOWS).map(([name, flow]) => ({
    name: `flow::${name}`,
    run: async () => {
      const server = await start();
      const scripted = await browser.newContext();
      const plain = await browser.newContext({ javaScriptEnabled: false });
      for (const context of [scripted, plain]) context.setDefaultTimeout(PATIENCE);
      try {
        const page = await scripted.newPage();
        const problems = watch(page);
        const complains = await flow({ page, still: await plain.newPage(), server });
        // A refused form is an error of the network for the console, and meant here.
        const real = problems.filter((problem) => !problem.includes("422"));
        if (!complains && real.length > 0) throw new Error(real.join("\n"));
      } finally {
        await scripted.close();
        await plain.close();
        await server.stop();
      }
    },
  }));
}

/** Waits for something that this process sees. */
async function until(holds) {
  const end = Date.now() + PATIENCE;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`never held: ${holds}`);
    await new Promise((later) => setTimeout(later, 10));
  }
}
