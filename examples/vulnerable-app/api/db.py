"""Queries of the shop."""

import hashlib
import secrets
import sqlite3

TABLE = "users"


def connect():
    return sqlite3.connect("shop.db")


def user_by_name(name):
    cursor = connect().cursor()
    cursor.execute("SELECT id, name FROM users WHERE name = '%s'" % name)
    return cursor.fetchone()


def user_by_id(user_id):
    cursor = connect().cursor()
    cursor.execute(f"SELECT id, name FROM {TABLE} WHERE id = ?", (user_id,))
    return cursor.fetchone()


def search(words, order):
    sql = "SELECT * FROM items WHERE 1 = 1"
    for word in words:
        sql += f" AND title LIKE '%{word}%'"
    cursor = connect().cursor()
    cursor.execute(sql)
    return cursor.fetchall()


def search_safe(words, descending):
    clauses = " AND ".join(["title LIKE ?"] * len(words))
    order = "DESC" if descending else "ASC"
    cursor = connect().cursor()
    cursor.execute("SELECT * FROM items WHERE " + clauses + " ORDER BY price " + order, words)
    return cursor.fetchall()


def hash_password(password):
    return hashlib.md5(password.encode()).hexdigest()


def hash_password_safe(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


def etag(body):
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def new_session(name):
    return f"{name}:{secrets.token_urlsafe(32)}"
