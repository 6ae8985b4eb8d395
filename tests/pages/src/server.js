// Serves the sample pages as Helve would: the same headers, on loopback. What forms send is kept for the tests to see.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

/** Most bytes of a form that are kept. */
const LIMIT = 4 << 20;

export class Server {
  /** The forms that were sent: `{path, type, body}`. */
  forms = [];
  /** How a form is answered: path to `(response) => void`. Others lead to the run's page. */
  answers = new Map();
  /** Pages that changed meanwhile: path to `(html) => html`. */
  changes = new Map();
  /** Paths of pages that were asked for. */
  asked = [];
  #files;
  #dir;
  #http;
  #listeners = new Set();

  static async start(dir) {
    const server = new Server();
    server.#dir = dir;
    const manifest = JSON.parse(await readFile(join(dir, "manifest.json"), "utf8"));
    server.#files = new Map(manifest.map((file) => [file.path, file]));
    server.#http = createServer((request, response) => {
      server.#answer(request, response).catch((error) => response.destroy(error));
    });
    await new Promise((listening) => server.#http.listen(0, "127.0.0.1", listening));
    server.url = `http://127.0.0.1:${server.#http.address().port}`;
    return server;
  }

  /** Addresses of all pages. */
  get pages() {
    return [...this.#files.values()].filter((file) => file.type.startsWith("text/html")).map((file) => file.path);
  }

  /** How many browsers listen to events. */
  get listeners() {
    return this.#listeners.size;
  }

  /** Tells all that listen. */
  tell(event, data) {
    for (const listener of this.#listeners) listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  stop() {
    this.#http.closeAllConnections();
    return new Promise((closed) => this.#http.close(closed));
  }

  async #answer(request, response) {
    const { pathname } = new URL(request.url, this.url);
    if (pathname.startsWith("/api/") && pathname.endsWith("/events")) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": open\n\n");
      this.#listeners.add(response);
      response.on("close", () => this.#listeners.delete(response));
      return;
    }
    if (request.method === "POST") {
      const body = await read(request);
      this.forms.push({ path: pathname, type: request.headers["content-type"], body });
      const answer = this.answers.get(pathname) ?? ((to) => to.writeHead(303, { location: "/run-done" }).end());
      await answer(response, this);
      return;
    }
    await this.page(response, pathname, 200);
  }

  /** Answers with a page or an asset. */
  async page(response, path, status) {
    const file = this.#files.get(path);
    if (!file) {
      response.writeHead(404, { "content-type": "text/plain" }).end("not a sample\n");
      return;
    }
    this.asked.push(path);
    let content = await readFile(join(this.#dir, file.file));
    const change = this.changes.get(path);
    if (change) content = Buffer.from(change(content.toString("utf8")));
    response.writeHead(status, { "content-type": file.type, ...file.headers }).end(content);
  }
}

async function read(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size <= LIMIT) parts.push(part);
  }
  return Buffer.concat(parts).toString("latin1");
}
