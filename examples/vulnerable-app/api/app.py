"""The shop's public API."""

import logging
import os
import pickle
import subprocess
import urllib.request

import requests
import yaml
from flask import Flask, jsonify, make_response, redirect, render_template, render_template_string, request, url_for
from markupsafe import escape

from . import db

log = logging.getLogger(__name__)
app = Flask(__name__)

PARTNERS = {"north": "https://north.partner.example/stock", "south": "https://south.partner.example/stock"}


@app.get("/hello")
def hello():
    return f"<h1>Hello {request.args.get('name', 'guest')}</h1>"


@app.get("/hello-safe")
def hello_safe():
    return f"<h1>Hello {escape(request.args.get('name', 'guest'))}</h1>"


@app.get("/card")
def card():
    text = request.args["text"]
    return render_template_string("<div class='card'>" + text + "</div>")


@app.get("/card-safe")
def card_safe():
    return render_template("card.html", text=request.args["text"])


@app.get("/next")
def follow():
    target = request.args.get("to", "/")
    return redirect(target)


@app.get("/home")
def home():
    return redirect(url_for("hello", name=request.args.get("name")))


@app.get("/stock")
def stock():
    url = request.args["url"]
    answer = requests.get(url, timeout=5)
    return jsonify(answer.json())


@app.get("/stock-safe")
def stock_safe():
    url = PARTNERS.get(request.args["partner"], PARTNERS["north"])
    return jsonify(requests.get(url, timeout=5).json())


@app.get("/thumbnail")
def thumbnail():
    name = request.args["name"]
    subprocess.run(f"convert images/{name} -resize 120 thumbs/{name}", shell=True, check=True)
    return "", 204


@app.get("/thumbnail-safe")
def thumbnail_safe():
    width = str(int(request.args["width"]))
    subprocess.run(["convert", "images/logo.png", "-resize", width, "thumbs/logo.png"], check=True)
    return "", 204


@app.post("/cart/restore")
def restore_cart():
    cart = pickle.loads(request.get_data())
    return jsonify(cart)


@app.post("/cart/import")
def import_cart():
    return jsonify(yaml.load(request.data, Loader=yaml.Loader))


@app.post("/cart/import-safe")
def import_cart_safe():
    return jsonify(yaml.safe_load(request.data))


@app.get("/price")
def price():
    formula = request.args["formula"]
    return jsonify(eval(formula, {"__builtins__": {}}))


@app.get("/users/<int:user_id>")
def user(user_id):
    return jsonify(db.user_by_id(user_id))


@app.post("/login")
def login():
    response = make_response("welcome")
    response.set_cookie("session", db.new_session(request.form["name"]))
    return response


@app.post("/login-safe")
def login_safe():
    response = make_response("welcome")
    response.set_cookie("session", db.new_session("guest"), secure=True, httponly=True, samesite="Lax")
    response.set_cookie("theme", "dark")
    return response


@app.get("/health")
def health():
    urllib.request.urlopen("http://127.0.0.1:9200/_cluster/health", timeout=1)
    os.system("sync")
    return "ok"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8080)
