// A small web server with planted flaws: see ../expected/vulnerable-web.json.
const express = require("express");
const { exec, execFile } = require("child_process");
const crypto = require("crypto");
const app = express();

app.get("/ping", (req, res) => {
  exec("ping -c 1 " + req.query.host, (error, out) => res.send(out));
});

app.get("/ping-safely", (req, res) => {
  execFile("ping", ["-c", "1", String(req.query.host)], (error, out) => res.type("text").send(out));
});

app.get("/calc", (req, res) => {
  res.json(eval(req.query.expression));
});

app.get("/go", (req, res) => {
  res.redirect(req.query.to);
});

app.get("/token", (req, res) => {
  res.send(crypto.createHash("md5").update(String(req.query.user)).digest("hex"));
});

app.get("/digest", (req, res) => {
  res.send(crypto.createHash("sha256").update("fixed").digest("hex"));
});

app.listen(3000);
