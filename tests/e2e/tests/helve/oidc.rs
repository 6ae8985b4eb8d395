//! Signing in with an account of an identity provider, as a browser does it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use helve_e2e::home::Home;
use helve_e2e::http::{Answer, Api, up};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

const MAP: &str = "
- {when: {groups: security}, role: admin, namespaces: all}
";

/// A provider that vouches for whatever the test wants.
struct Provider {
    issuer: String,
    key: Arc<EcdsaKeyPair>,
    id_token: Arc<Mutex<String>>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
        let provider = Self {
            issuer,
            key: Arc::new(key),
            id_token: Arc::default(),
        };
        let (issuer, key, id_token) = (
            provider.issuer.clone(),
            Arc::clone(&provider.key),
            Arc::clone(&provider.id_token),
        );
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serve(stream, &issuer, &key, &id_token);
            }
        });
        provider
    }

    /// A login that the provider lets happen with these claims: what the browser is answered in the end.
    fn login(&self, api: &Api, more: &Value) -> (Answer, Vec<String>) {
        let begun = api.with(None).get("/login/oidc?next=/runs").expect(303);
        let cookie = cookies(&begun).remove(0);
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
            "{cookie}"
        );
        let location = begun.header("location").unwrap();
        assert!(
            location.starts_with(&format!("{}/authorize?", self.issuer)),
            "{location}"
        );
        let back = query(location, "redirect_uri");
        assert_eq!(back, format!("http://{}/login/oidc/callback", api.address));
        let mut claims = json!({
            "iss": self.issuer, "aud": "helve", "sub": "42", "exp": now() + 300,
            "nonce": query(location, "nonce"), "email": "ada@example.org", "email_verified": true,
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        *self.id_token.lock().unwrap() = self.sign(&claims);
        let path = format!("/login/oidc/callback?code=good&state={}", query(location, "state"));
        let answer = api.with(None).send("GET", &path, &[("Cookie", pair(&cookie))], &[]);
        let set = cookies(&answer);
        // Another browser cannot end it.
        api.with(None).get(&path).expect(400);
        (answer, set)
    }

    fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "one"})), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }
}

fn serve(stream: TcpStream, issuer: &str, key: &EcdsaKeyPair, id_token: &Mutex<String>) {
    let mut reader = BufReader::new(&stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = match first.split(' ').nth(1).unwrap() {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        }),
        "/keys" => {
            let point = key.public_key().as_ref();
            let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({"keys": [
                {"kty": "EC", "crv": "P-256", "kid": "one", "x": text(&point[1..33]), "y": text(&point[33..])},
            ]})
        }
        _ => json!({"id_token": *id_token.lock().unwrap()}),
    };
    let answer = answer.to_string();
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json";
    let mut stream = &stream;
    let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn cookies(answer: &Answer) -> Vec<String> {
    let all = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    all.map(|(_, value)| value.clone()).collect()
}

/// What a browser sends back of a cookie.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

fn query(address: &str, name: &str) -> String {
    let pairs = address.split_once('?').unwrap().1.split('&');
    let value = pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(known, _)| *known == name)
        .unwrap()
        .1;
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                u8::from_str_radix(&format!("{}{}", *high as char, *low as char), 16).unwrap()
            }
            (other, _) => *other,
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_user_of_the_provider_comes_in_as_the_map_says_and_others_stay_outside() {
    let (home, provider) = (Home::new(), Provider::start());
    let map = home.path().join("map.yaml");
    fs::write(&map, MAP).unwrap();
    let options = [
        "--oidc-issuer",
        &provider.issuer,
        "--oidc-client-id",
        "helve",
        "--oidc-map",
        map.to_str().unwrap(),
    ];
    let (running, api, _) = up(&home, &[&options[..], &["--oidc-name", "Example"]].concat());
    let page = api.with(None).get("/login?next=/runs").expect(200).text();
    assert!(
        page.contains("Sign in with <bdi>Example</bdi>") && page.contains("/login/oidc?next=%2Fruns"),
        "{page}"
    );

    let (answer, set) = provider.login(&api, &json!({"groups": ["security"]}));
    let answer = answer.expect(200);
    assert_eq!(answer.header("refresh"), Some("0; url=/runs"));
    let session = set.iter().find(|cookie| cookie.starts_with("helve_session=")).unwrap();
    assert!(session.contains("SameSite=Strict"), "{session}");
    let page = api
        .with(None)
        .send("GET", "/runs", &[("Cookie", pair(session))], &[])
        .expect(200)
        .text();
    assert!(page.contains("ada@example.org"), "{page}");

    // No rule fits: no session, and the audit log says who it was.
    let (answer, set) = provider.login(&api, &json!({"sub": "43", "email": "eve@example.org"}));
    assert!(answer.expect(403).text().contains("no rule of this server lets you in"));
    assert!(
        !set.iter().any(|cookie| cookie.starts_with("helve_session=")),
        "{set:?}"
    );
    // A token of another client.
    let (answer, _) = provider.login(&api, &json!({"aud": "another", "groups": "security"}));
    assert!(answer.expect(403).text().contains("somebody else"));
    let audit = api.get("/api/v1/audit").expect(200).json();
    let rows: Vec<(&str, &str)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["detail"]["subject"].as_str().unwrap_or_default(),
            )
        })
        .filter(|(action, _)| *action == "login.refuse" || *action == "session.open")
        .collect();
    assert_eq!(
        rows,
        [("login.refuse", ""), ("login.refuse", "43"), ("session.open", "42")],
        "{audit}"
    );

    // Only pages of this server follow a login.
    let begun = api.with(None).get("/login/oidc?next=https://evil.example/").expect(303);
    let cookie = cookies(&begun).remove(0);
    let body = pair(&cookie).split_once('=').unwrap().1.split('.').next().unwrap();
    let asked: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    assert_eq!(asked["what"]["next"], "/");
    running.signal("INT");
    running.wait().expect_code(0);
}

#[test]
fn a_map_that_cannot_be_used_is_one_clear_error() {
    let home = Home::new();
    let map = home.path().join("map.yaml");
    fs::write(&map, "- {when: {sub: a}, role: worker, namespaces: all}").unwrap();
    let options = ["up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--oidc-issuer"];
    let more = ["--oidc-client-id", "helve", "--oidc-map", map.to_str().unwrap()];
    home.run(&[&options[..], &["https://id.example.org"], &more[..]].concat())
        .expect_clear_error(&["map.yaml", "rule 1", "docs/oidc.md"]);
    fs::write(&map, MAP).unwrap();
    home.run(&[&options[..], &["http://id.example.org"], &more[..]].concat())
        .expect_clear_error(&["https"]);
}
