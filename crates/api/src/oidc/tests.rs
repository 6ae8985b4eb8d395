//! Logins at a small provider of the test's own: good ones, and everything that somebody could forge.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use helve_ledger::{Role, Scope};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use super::*;

const CLIENT: &str = "helve test";
const SECRET: &str = "p@ss:word";

/// A key of 2048 bits for this test and nothing else, as PKCS#8.
const RSA: &[u8] = include_bytes!("testdata/rsa.p8");

enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(RSA).unwrap())
    }

    fn ec() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(&n), "e": text(&e)})
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    fn token(&self, kid: &str, claims: &Value) -> String {
        token(&json!({"alg": self.algorithm(), "kid": kid}), claims, |message| {
            self.sign(message)
        })
    }
}

fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A form that was sent: who said they are, and its fields.
type SentForm = (Option<String>, Vec<(String, String)>);
/// What an attacker does to a token, and what is then said.
type Change = (fn(&mut Value), &'static str);

/// What the provider knows and says.
#[derive(Default)]
struct Said {
    keys: Vec<Value>,
    /// Answered to the next code.
    id_token: String,
    /// Forms that the token endpoint was sent, with the header of the client.
    forms: Vec<SentForm>,
    /// Changes what the provider says of itself.
    metadata: Option<fn(&mut Value)>,
    times_keys: usize,
}

#[derive(Clone)]
struct Idp {
    said: Arc<Mutex<Said>>,
    issuer: String,
}

impl Idp {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let idp = Self {
            said: Arc::default(),
            issuer: format!("http://{address}"),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(Self::metadata))
            .route("/keys", get(Self::keys))
            .route("/token", post(Self::exchange))
            .with_state(idp.clone());
        let connections = Box::pin(futures_util::stream::unfold(listener, async |listener| {
            Some((listener.accept().await, listener))
        }));
        let stop = tokio_util::sync::CancellationToken::new();
        tokio::spawn(crate::serve(connections, router, stop));
        idp
    }

    async fn metadata(State(idp): State<Self>) -> String {
        let mut metadata = json!({
            "issuer": idp.issuer,
            "authorization_endpoint": format!("{}/authorize?tenant=1", idp.issuer),
            "token_endpoint": format!("{}/token", idp.issuer),
            "jwks_uri": format!("{}/keys", idp.issuer),
        });
        if let Some(change) = idp.said.lock().unwrap().metadata {
            change(&mut metadata);
        }
        metadata.to_string()
    }

    async fn keys(State(idp): State<Self>) -> String {
        let mut said = idp.said.lock().unwrap();
        said.times_keys += 1;
        json!({"keys": said.keys}).to_string()
    }

    async fn exchange(State(idp): State<Self>, headers: HeaderMap, body: String) -> (StatusCode, String) {
        let form: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let is_good = form.iter().any(|(name, value)| name == "code" && value == "good");
        let by = headers
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut said = idp.said.lock().unwrap();
        said.forms.push((by, form));
        match is_good {
            true => (
                StatusCode::OK,
                json!({"id_token": said.id_token, "access_token": "x"}).to_string(),
            ),
            false => (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string()),
        }
    }

    fn oidc(&self) -> Oidc {
        Oidc::new(self.options()).unwrap()
    }

    fn options(&self) -> OidcOptions {
        let map = "
- {when: {groups: security}, role: admin, namespaces: all}
- {when: {email: '*@example.org'}, role: analyst, namespaces: [team-a]}";
        OidcOptions {
            issuer: self.issuer.clone(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(SECRET.to_owned()),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            name: "Example".to_owned(),
            map: OidcMap::read(map).unwrap(),
            public_url: "https://helve.test".to_owned(),
            http: http(),
        }
    }

    fn claims(&self, nonce: &str) -> Value {
        json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "42", "nonce": nonce,
            "iat": now(), "exp": now() + 300,
            "email": "ada@example.org", "email_verified": true,
        })
    }

    /// A login up to the moment when the browser is back: its cookie, state and nonce.
    async fn begin(&self, oidc: &Oidc) -> (String, String, String) {
        let begun = oidc.begin("/runs").await.unwrap();
        let pairs: Vec<(String, String)> = Url::parse(&begun.location)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        let one = |name: &str| pairs.iter().find(|(known, _)| known == name).unwrap().1.clone();
        (begun.cookie, one("state"), one("nonce"))
    }

    /// A whole login with what `make` makes of the nonce.
    async fn login(&self, oidc: &Oidc, make: impl FnOnce(&str) -> String) -> Result<Account, Refused> {
        let (cookie, state, nonce) = self.begin(oidc).await;
        self.said.lock().unwrap().id_token = make(&nonce);
        oidc.finish(good(&state), Some(&cookie)).await
    }
}

fn http() -> reqwest::Client {
    helve_tls::http_client(None).unwrap()
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn good(state: &str) -> Answer {
    Answer {
        state: Some(state.to_owned()),
        code: Some("good".to_owned()),
        ..Answer::default()
    }
}

#[tokio::test]
async fn a_login_leads_to_the_role_of_the_first_rule_that_fits() {
    let idp = Idp::start().await;
    for signer in [Signer::rsa(), Signer::ec()] {
        idp.said.lock().unwrap().keys = vec![json!({"kty": "new", "kid": "?"}), signer.jwk("one")];
        let oidc = idp.oidc();
        let account = idp
            .login(&oidc, |nonce| signer.token("one", &idp.claims(nonce)))
            .await
            .unwrap();
        let wanted = Account {
            who: Who {
                name: "ada@example.org".to_owned(),
                subject: "42".to_owned(),
            },
            role: Role::Analyst,
            scope: Scope::namespaces(["team-a"]),
            next: "/runs".to_owned(),
        };
        assert_eq!(account, wanted);
        let account = idp
            .login(&oidc, |nonce| {
                let mut claims = idp.claims(nonce);
                claims["groups"] = json!(["a", "security"]);
                claims["email_verified"] = json!(false);
                signer.token("one", &claims)
            })
            .await
            .unwrap();
        assert_eq!(
            (account.role, account.who.name.as_str()),
            (Role::Admin, "42"),
            "the address is not verified"
        );
    }
}

#[tokio::test]
async fn the_provider_is_asked_as_the_protocol_wants_it() {
    let (idp, signer) = (Idp::start().await, Signer::ec());
    idp.said.lock().unwrap().keys = vec![signer.jwk("one")];
    let oidc = idp.oidc();
    let begun = oidc.begin("/").await.unwrap();
    let location = Url::parse(&begun.location).unwrap();
    let pairs: Vec<(String, String)> = location.query_pairs().into_owned().collect();
    let one = |name: &str| {
        pairs
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(one("tenant"), Some("1"), "what the endpoint has already stays");
    assert_eq!(one("response_type"), Some("code"));
    assert_eq!(one("client_id"), Some(CLIENT));
    assert_eq!(one("scope"), Some("openid email"));
    assert_eq!(one("redirect_uri"), Some("https://helve.test/login/oidc/callback"));
    assert_eq!(one("code_challenge_method"), Some("S256"));
    let asked: Asked = oidc.sealer.open(&begun.cookie).unwrap();
    assert_eq!(one("code_challenge"), Some(&*challenge(&asked.verifier)));

    idp.said.lock().unwrap().id_token = signer.token("one", &idp.claims(&asked.nonce));
    oidc.finish(good(&asked.state), Some(&begun.cookie)).await.unwrap();
    let (by, form) = idp.said.lock().unwrap().forms.remove(0);
    let basic = by.unwrap();
    let basic = STANDARD.decode(basic.strip_prefix("Basic ").unwrap()).unwrap();
    assert_eq!(String::from_utf8(basic).unwrap(), "helve+test:p%40ss%3Aword");
    let sent = |name: &str| {
        form.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(sent("grant_type"), Some("authorization_code"));
    assert_eq!(sent("redirect_uri"), Some("https://helve.test/login/oidc/callback"));
    assert_eq!(sent("code_verifier"), Some(&*asked.verifier));
    assert_eq!(sent("client_secret"), None);

    // A provider that wants the secret in the form, and a client without one.
    idp.said.lock().unwrap().metadata =
        Some(|metadata| metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]));
    let public = OidcOptions {
        client_secret: None,
        ..idp.options()
    };
    for (options, secret) in [(idp.options(), Some(SECRET)), (public, None)] {
        let oidc = Oidc::new(options).unwrap();
        idp.login(&oidc, |nonce| signer.token("one", &idp.claims(nonce)))
            .await
            .unwrap();
        let (by, form) = idp.said.lock().unwrap().forms.remove(0);
        let sent = |name: &str| {
            form.iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(
            (by, sent("client_id"), sent("client_secret")),
            (None, Some(CLIENT), secret)
        );
    }
}

#[tokio::test]
async fn a_token_that_proves_nothing_lets_nobody_in() {
    let (idp, signer, stranger) = (Idp::start().await, Signer::ec(), Signer::ec());
    let rsa = Signer::rsa();
    idp.said.lock().unwrap().keys = vec![signer.jwk("one"), rsa.jwk("two")];
    let oidc = idp.oidc();
    let with = |nonce: &str, name: &str, value: Value| {
        let mut claims = idp.claims(nonce);
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value,
        }
        signer.token("one", &claims)
    };
    type Forged<'a> = Box<dyn Fn(&str) -> String + 'a>;
    let claim =
        |name: &'static str, value: Value| -> Forged<'_> { Box::new(move |nonce| with(nonce, name, value.clone())) };
    let hs256 = |nonce: &str, secret: &[u8]| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        token(&json!({"alg": "HS256", "kid": "one"}), &idp.claims(nonce), |message| {
            ring::hmac::sign(&key, message).as_ref().to_vec()
        })
    };
    let forged: Vec<(&str, Forged<'_>)> = vec![
        (
            "not accepted",
            Box::new(|nonce| token(&json!({"alg": "none"}), &idp.claims(nonce), |_| Vec::new())),
        ),
        (
            "not accepted",
            Box::new(|nonce| {
                token(&json!({"alg": "None", "kid": "one"}), &idp.claims(nonce), |_| {
                    Vec::new()
                })
            }),
        ),
        // The public key, or the client's secret, as a shared secret.
        (
            "not accepted",
            Box::new(|nonce| hs256(nonce, signer.jwk("one").to_string().as_bytes())),
        ),
        ("not accepted", Box::new(|nonce| hs256(nonce, SECRET.as_bytes()))),
        (
            "signature is wrong",
            Box::new(|nonce| stranger.token("one", &idp.claims(nonce))),
        ),
        (
            "does not publish",
            Box::new(|nonce| stranger.token("three", &idp.claims(nonce))),
        ),
        (
            "does not publish",
            Box::new(|nonce| signer.token("two", &idp.claims(nonce))),
        ),
        // A key that the token brings itself.
        (
            "signature is wrong",
            Box::new(|nonce| {
                let header = json!({"alg": "ES256", "kid": "one", "jwk": stranger.jwk("one")});
                token(&header, &idp.claims(nonce), |message| stranger.sign(message))
            }),
        ),
        // Claims that were changed after the signature.
        (
            "signature is wrong",
            Box::new(|nonce| {
                let good = signer.token("one", &idp.claims(nonce));
                let mut claims = idp.claims(nonce);
                claims["groups"] = json!("security");
                let parts: Vec<&str> = good.split('.').collect();
                format!(
                    "{}.{}.{}",
                    parts[0],
                    URL_SAFE_NO_PAD.encode(claims.to_string()),
                    parts[2]
                )
            }),
        ),
        ("is for somebody else", claim("aud", json!("another client"))),
        ("is for somebody else", claim("aud", json!([CLIENT, "another client"]))),
        ("is for somebody else", claim("azp", json!("another client"))),
        ("is for somebody else", claim("azp", json!(7))),
        ("lacks `aud`", claim("aud", Value::Null)),
        ("is from somebody else", claim("iss", json!("https://evil.example"))),
        (
            "is from somebody else",
            claim("iss", json!([idp.issuer, "https://evil.example"])),
        ),
        ("lacks `iss`", claim("iss", Value::Null)),
        ("has expired", claim("exp", json!(now() - 3600))),
        ("lacks `exp`", claim("exp", Value::Null)),
        ("is not valid yet", claim("nbf", json!(now() + 3600))),
        ("answers another login", claim("nonce", json!("another"))),
        ("lacks `nonce`", claim("nonce", Value::Null)),
        ("lacks `sub`", claim("sub", Value::Null)),
        ("names nobody", claim("sub", json!("a\nb"))),
        ("not accepted", Box::new(|_| "a.b.c".to_owned())),
        ("not accepted", Box::new(|_| String::new())),
        ("no ID token", Box::new(|_| "x".repeat(300 * 1024))),
    ];
    for (says, make) in forged {
        let refused = idp.login(&oidc, make).await.unwrap_err();
        assert!(matches!(refused, Refused::Unproven { .. }), "{refused:?}");
        assert!(refused.to_string().contains(says), "{says}: {refused}");
    }
    // What is in order is in order still.
    idp.login(&oidc, |nonce| with(nonce, "aud", json!([CLIENT])))
        .await
        .unwrap();
    idp.login(&oidc, |nonce| with(nonce, "azp", json!(CLIENT)))
        .await
        .unwrap();
}

#[tokio::test]
async fn who_no_rule_lets_in_stays_outside_and_is_named() {
    let (idp, signer) = (Idp::start().await, Signer::ec());
    idp.said.lock().unwrap().keys = vec![signer.jwk("one")];
    let refused = idp
        .login(&idp.oidc(), |nonce| {
            let mut claims = idp.claims(nonce);
            claims["email"] = json!("eve@evil.example");
            signer.token("one", &claims)
        })
        .await
        .unwrap_err();
    let Refused::NoRule { who, .. } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!((who.name.as_str(), who.subject.as_str()), ("eve@evil.example", "42"));
}

#[tokio::test]
async fn a_login_ends_only_in_the_browser_where_it_began() {
    let (idp, signer) = (Idp::start().await, Signer::ec());
    idp.said.lock().unwrap().keys = vec![signer.jwk("one")];
    let oidc = idp.oidc();
    let (mine, state, _) = idp.begin(&oidc).await;
    let (others, other_state, _) = idp.begin(&oidc).await;
    for (state, cookie) in [
        (&*state, None),
        (&*state, Some(&*others)),
        (&*other_state, Some(&*mine)),
        ("", Some(&*mine)),
        (&*state, Some("forged.00")),
    ] {
        let refused = oidc.finish(good(state), cookie).await.unwrap_err();
        assert!(matches!(refused, Refused::NotAsked), "{refused:?}");
    }
    // Of another server's making.
    let (foreign, foreign_state, _) = idp.begin(&idp.oidc()).await;
    let refused = oidc.finish(good(&foreign_state), Some(&foreign)).await.unwrap_err();
    assert!(matches!(refused, Refused::NotAsked), "{refused:?}");
    assert!(
        idp.said.lock().unwrap().forms.is_empty(),
        "no code was redeemed for any of them"
    );
}

#[tokio::test]
async fn what_the_provider_refuses_is_refused() {
    let (idp, signer) = (Idp::start().await, Signer::ec());
    idp.said.lock().unwrap().keys = vec![signer.jwk("one")];
    let oidc = idp.oidc();
    let (cookie, state, nonce) = idp.begin(&oidc).await;
    idp.said.lock().unwrap().id_token = signer.token("one", &idp.claims(&nonce));
    let answer = |code: Option<&str>, error: Option<&str>, iss: Option<&str>| Answer {
        code: code.map(str::to_owned),
        error: error.map(str::to_owned),
        iss: iss.map(str::to_owned),
        state: Some(state.clone()),
    };
    for (answer, says) in [
        (answer(None, Some("access_denied"), None), "access_denied"),
        (answer(Some("good"), Some("access_denied"), None), "access_denied"),
        (answer(None, None, None), "no code"),
        (answer(Some("bad"), None, None), "invalid_grant"),
        (
            answer(Some("good"), None, Some("https://evil.example")),
            "another provider",
        ),
    ] {
        let refused = oidc.finish(answer, Some(&cookie)).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{says}: {refused}");
    }
    oidc.finish(answer(Some("good"), None, Some(&idp.issuer)), Some(&cookie))
        .await
        .unwrap();
}

#[tokio::test]
async fn keys_are_kept_and_a_new_one_is_found() {
    let (idp, old, new) = (Idp::start().await, Signer::ec(), Signer::ec());
    idp.said.lock().unwrap().keys = vec![old.jwk("old")];
    let oidc = idp.oidc();
    for _ in 0..3 {
        idp.login(&oidc, |nonce| old.token("old", &idp.claims(nonce)))
            .await
            .unwrap();
    }
    assert_eq!(idp.said.lock().unwrap().times_keys, 1);
    idp.said.lock().unwrap().keys = vec![new.jwk("new")];
    idp.login(&oidc, |nonce| new.token("new", &idp.claims(nonce)))
        .await
        .unwrap();
    let refused = idp
        .login(&oidc, |nonce| old.token("old", &idp.claims(nonce)))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Refused::Unproven { .. }),
        "the provider took the old key back: {refused:?}"
    );
    // Under the same name, and with none.
    idp.said.lock().unwrap().keys = vec![old.jwk("new"), Signer::ec().jwk("other")];
    idp.login(&oidc, |nonce| old.token("new", &idp.claims(nonce)))
        .await
        .unwrap();
    idp.login(&oidc, |nonce| {
        token(&json!({"alg": "ES256"}), &idp.claims(nonce), |message| {
            old.sign(message)
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_provider_that_is_another_one_or_not_encrypted_is_refused() {
    let idp = Idp::start().await;
    let changes: [Change; 4] = [
        (
            |metadata| metadata["issuer"] = json!("https://evil.example"),
            "exactly as the provider writes it",
        ),
        (
            |metadata| metadata["token_endpoint"] = json!("http://evil.example/token"),
            "not https",
        ),
        (
            |metadata| metadata["jwks_uri"] = json!("file:///etc/passwd"),
            "not https",
        ),
        (
            |metadata| metadata["authorization_endpoint"] = json!("javascript:alert(1)"),
            "not https",
        ),
    ];
    for (change, says) in changes {
        idp.said.lock().unwrap().metadata = Some(change);
        let error = idp.oidc().begin("/").await.err().unwrap().to_string();
        assert!(error.contains(says), "{says}: {error}");
    }
    for issuer in [
        "http://example.org",
        "ftp://example.org",
        "example.org",
        "http://127.0.0.1.evil.example",
    ] {
        let options = OidcOptions {
            issuer: issuer.to_owned(),
            ..idp.options()
        };
        assert!(Oidc::new(options).is_err(), "{issuer}");
    }
    // Nobody there.
    let options = OidcOptions {
        issuer: "http://127.0.0.1:1".to_owned(),
        ..idp.options()
    };
    let error = Oidc::new(options).unwrap().begin("/").await.err().unwrap().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}
