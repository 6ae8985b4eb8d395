import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { exec, execFile } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import express from "express";
import jwt from "jsonwebtoken";
import { Pool } from "pg";

const app = express();
const pool = new Pool();
const FILES = path.join(__dirname, "files");
const SORT: Record<string, string> = { price: "price", name: "title" };

app.get("/items", async (req, res) => {
  const sql = `SELECT * FROM items WHERE title LIKE '%${req.query.q}%'`;
  const rows = await pool.query(sql);
  res.json(rows);
});

app.get("/items-safe", async (req, res) => {
  const rows = await pool.query("SELECT * FROM items WHERE title LIKE $1", [`%${req.query.q}%`]);
  res.json(rows);
});

app.get("/items/:id", async (req, res) => {
  const id = Number(req.params.id);
  const rows = await pool.query(`SELECT * FROM items WHERE id = ${id}`);
  res.json(rows);
});

app.post("/login", async (req, res) => {
  const user = await users.findOne({ name: req.body.name, password: req.body.password });
  res.cookie("session", user.session);
  res.json({ ok: true });
});

app.post("/login-safe", async (req, res) => {
  const user = await users.findOne({ name: String(req.body.name) });
  res.cookie("session", user.session, { httpOnly: true, secure: true, sameSite: "lax" });
  res.json({ ok: true });
});

app.get("/ping", (req, res) => {
  exec("ping -c 1 " + req.query.host, (_error, out) => res.json({ out }));
});

app.get("/ping-safe", (req, res) => {
  execFile("ping", ["-c", "1", String(req.query.host)], (_error, out) => res.json({ out }));
});

app.get("/hello", (req, res) => {
  res.send(`<h1>Hello ${req.query.name}</h1>`);
});

app.get("/hello-safe", (req, res) => {
  res.send(`<h1>Hello ${escapeHtml(req.query.name)}</h1>`);
});

app.get("/file/:name", (req, res) => {
  const file = path.join(FILES, req.params.name);
  res.send(fs.readFileSync(file));
});

app.get("/file-safe/:name", (req, res) => {
  res.sendFile(req.params.name, { root: FILES });
});

app.get("/proxy", async (req, res) => {
  const { url } = req.query;
  const answer = await fetch(url);
  res.json(await answer.json());
});

app.get("/go", (req, res) => {
  res.redirect(req.query.to as string);
});

app.get("/go-safe", (req, res) => {
  res.redirect(`/items/${req.params.id}`);
});

app.get("/sum", (req, res) => {
  res.json({ sum: eval(req.query.expression as string) });
});

app.use((req, _res, next) => {
  req.user = jwt.decode(req.headers.authorization ?? "");
  next();
});

export const agent = new https.Agent({ rejectUnauthorized: false });
export const goodAgent = new https.Agent({ ca: fs.readFileSync("ca.pem") });

export function seal(key: Buffer, text: string) {
  return createCipheriv("aes-128-ecb", key, null).update(text);
}

export function sealSafe(key: Buffer, text: string) {
  return createCipheriv("aes-256-gcm", key, randomBytes(12)).update(text);
}

export function resetToken() {
  const token = Math.random().toString(36).slice(2);
  return token;
}

export const fingerprint = (body: Buffer) => createHash("sha256").update(body).digest("hex");
export const sortColumn = (name: string) => SORT[name] ?? "title";

app.listen(3000, "0.0.0.0");
