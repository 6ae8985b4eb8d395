// The pages in a headless Chromium. `node src/run.js --chromium PROGRAM --helve PROGRAM --pages DIR --pictures DIR --results FILE [NAME...]`
// runs the tests with one of these words in their name; `--serve` shows the pages to a person instead.

import { mkdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

import { flows } from "./flows.js";
import { LANES, looks } from "./looks.js";
import { Server } from "./server.js";
import { whole } from "./whole.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    chromium: { type: "string" },
    helve: { type: "string" },
    pages: { type: "string" },
    pictures: { type: "string" },
    results: { type: "string" },
    serve: { type: "boolean" },
  },
});

const start = () => Server.start(values.pages);
const server = await start();
if (values.serve) {
  console.log(server.pages.map((path) => server.url + path).join("\n"));
} else {
  await mkdir(values.pictures, { recursive: true });
  // The pages are ours, and CI's user may be root, for whom Chromium has no sandbox.
  const browser = await chromium.launch({ executablePath: values.chromium, args: ["--no-sandbox"] });
  const all = [...(await looks(browser, server, values.pictures)), ...flows(browser, start), whole(browser, values.helve, values.pictures)];
  const wanted = all.filter(({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)));
  const outcomes = await run(wanted);
  await browser.close();
  await server.stop();
  await writeFile(values.results, outcomes.map(([name, outcome]) => `${name}\t${outcome}\n`).join(""));
  const failed = outcomes.filter(([, outcome]) => outcome === "failed").length;
  console.log(`${outcomes.length - failed} passed, ${failed} failed; pictures in ${values.pictures}`);
  process.exitCode = failed > 0 || outcomes.length === 0 ? 1 : 0;
}

/** Runs tests a few at a time. */
async function run(tests) {
  const outcomes = [];
  const rest = [...tests];
  const lane = async () => {
    for (let test = rest.shift(); test; test = rest.shift()) {
      try {
        await test.run();
        outcomes.push([test.name, "passed"]);
      } catch (error) {
        outcomes.push([test.name, "failed"]);
        // What a browser that went away wrote all its life helps nobody.
        console.log(`FAILED ${test.name}\n${error.message.split("\nBrowser logs:")[0]}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return outcomes.sort(([a], [b]) => a.localeCompare(b));
}
