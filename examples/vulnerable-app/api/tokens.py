"""Tokens and outgoing TLS."""

import ssl

import jwt
import requests
from Crypto.Cipher import AES


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


def claims_safe(token, key):
    return jwt.decode(token, key, algorithms=["HS256"])


def partner_stock(url):
    return requests.get(url, verify=False, timeout=5).json()


def partner_stock_safe(url):
    return requests.get(url, verify="/etc/ssl/partner-ca.pem", timeout=5).json()


def old_context():
    return ssl.SSLContext(ssl.PROTOCOL_TLSv1)


def context():
    return ssl.create_default_context()


def seal(key, text):
    return AES.new(key, AES.MODE_ECB).encrypt(text)


def seal_safe(key, text):
    return AES.new(key, AES.MODE_GCM).encrypt_and_digest(text)
