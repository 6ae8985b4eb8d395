//! Certificates from an authority that speaks ACME: asked for, proven, kept, renewed.
//!
//! That the domain is ours is proven by `tls-alpn-01` on the HTTPS listener itself: the authority connects to it with the
//! protocol `acme-tls/1` and finds a certificate that only who asked can make. No other port and no plain HTTP is needed.

mod kept;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::identity::{hosts, validity};
use crate::keys::Keys;
use kept::Kept;
use web::Web;

/// The protocol of a proof.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";
/// Where certificates are asked for when nothing else is said.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// How long the authority may take for each step.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
/// After a failure it is tried again after so long, then after twice as long and so on.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_AT_MOST: Duration = Duration::from_secs(6 * 60 * 60);
/// A certificate is looked at that often at least: a clock may jump, a machine may sleep.
const LOOK_AT_LEAST: Duration = Duration::from_secs(60 * 60);

/// Which certificate to ask for, and where.
#[derive(Debug, Clone)]
pub struct Acme {
    /// The names that it is to be for.
    pub domains: Vec<String>,
    /// Where the authority writes to when something is wrong.
    pub email: Option<String>,
    /// The authority.
    pub directory: String,
    /// Who signs the authority's own certificate, in PEM; none: the system knows.
    pub authorities: Option<PathBuf>,
    /// A private directory for the account, the certificate and its key.
    pub dir: PathBuf,
}

/// What keeps a certificate fresh.
pub(crate) struct Renewer {
    acme: Acme,
    kept: Kept,
    keys: Arc<Keys>,
    web: Web,
}

/// A certificate that can be served, and when it is to be renewed.
pub(crate) struct Issued {
    pub(crate) certified: CertifiedKey,
    renew_at: SystemTime,
}

impl Acme {
    fn check(&self) -> Result<(), crate::Error> {
        let wrong = |what: String| Err(crate::Error::Acme(what));
        if !self.directory.starts_with("https://") {
            return wrong(format!("the directory `{}` is no https address", self.directory));
        }
        if self.domains.is_empty() {
            return wrong("a certificate is for one name at least".to_owned());
        }
        for domain in &self.domains {
            let is_label = |label: &str| {
                let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                !label.is_empty() && label.len() <= 63 && label.bytes().all(is_good)
            };
            let is_name = domain.len() <= 253 && domain.contains('.') && domain.split('.').all(is_label);
            if !is_name || domain.parse::<std::net::IpAddr>().is_ok() {
                return wrong(format!(
                    "`{domain}` is no name that a certificate can be asked for: write a name like helve.example.org in lower \
                     case, without `*`"
                ));
            }
        }
        Ok(())
    }
}

impl Renewer {
    /// With the certificate that was kept, if there is one that still fits.
    pub(crate) fn open(acme: Acme, keys: Arc<Keys>) -> Result<(Self, Option<Issued>), crate::Error> {
        acme.check()?;
        let kept = Kept::open(&acme.dir)?;
        let issued = match kept.certificate()? {
            Some(text) => match issued(&text, &acme.domains) {
                Ok(issued) => Some(issued),
                Err(why) => {
                    tracing::info!("the certificate that was kept is not used: {why}");
                    None
                }
            },
            None => None,
        };
        let web = Web(crate::http_client(acme.authorities.as_deref())?);
        let renewer = Self { acme, kept, keys, web };
        Ok((renewer, issued))
    }

    /// Renews for ever. `used` is called with each new certificate; `has` is the one of now.
    pub(crate) async fn keep_on(&self, mut renew_at: Option<SystemTime>, used: impl Fn(CertifiedKey)) {
        let mut again = AGAIN;
        loop {
            let now = SystemTime::now();
            let wait = renew_at.map_or(Duration::ZERO, |at| at.duration_since(now).unwrap_or_default());
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK_AT_LEAST)).await;
                continue;
            }
            let names = self.acme.domains.join(", ");
            tracing::info!("asking {} for a certificate for {names}", self.acme.directory);
            match self.obtain().await {
                Ok(issued) => {
                    tracing::info!("there is a new certificate for {names}");
                    renew_at = Some(issued.renew_at);
                    again = AGAIN;
                    used(issued.certified);
                }
                Err(error) => {
                    tracing::error!(
                        "no certificate for {names}: {error}; it is tried again in {} min",
                        again.as_secs() / 60
                    );
                    renew_at = Some(SystemTime::now() + again);
                    again = (again * 2).min(AGAIN_AT_MOST);
                }
            }
        }
    }

    async fn obtain(&self) -> Result<Issued, String> {
        let outcome = self.order().await;
        self.keys.clear_proofs();
        let text = outcome.map_err(|error| error.to_string())?;
        let issued = issued(text.as_bytes(), &self.acme.domains)?;
        self.kept.keep_certificate(text).await?;
        Ok(issued)
    }

    /// The key and the chain, in PEM.
    async fn order(&self) -> Result<String, Error> {
        let account = self.account().await?;
        let names: Vec<Identifier> = self.acme.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                _ => return Err(Error::Str("the authority gave up one of the names")),
            }
            let mut challenge = authorization
                .challenge(ChallengeType::TlsAlpn01)
                .ok_or(Error::Unsupported("tls-alpn-01"))?;
            let domain = challenge.identifier().to_string();
            let digest = challenge.key_authorization().digest();
            let proof = proof(&domain, digest.as_ref()).map_err(|error| Error::Other(error.into()))?;
            self.keys.prove(domain, proof);
            challenge.set_ready().await?;
        }
        match order.poll_ready(&PATIENCE).await? {
            OrderStatus::Ready => {}
            _ => return Err(self.why_invalid(&mut order).await),
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        Ok(format!("{key}\n{chain}"))
    }

    /// What the authority found wrong with a proof: the order itself only says that it is invalid.
    async fn why_invalid(&self, order: &mut instant_acme::Order) -> Error {
        let mut authorizations = order.authorizations();
        while let Some(Ok(authorization)) = authorizations.next().await {
            for challenge in &authorization.challenges {
                if let Some(problem) = &challenge.error {
                    return Error::Api(problem.clone());
                }
            }
        }
        Error::Str("the authority refused the order and did not say why")
    }

    async fn account(&self) -> Result<Account, Error> {
        let builder = || Account::builder_with_http(Box::new(self.web.clone()));
        let other = |error: String| Error::Other(error.into());
        if let Some(credentials) = self.kept.account(&self.acme.directory).await.map_err(other)? {
            return builder().from_credentials(credentials).await;
        }
        let contact = self.acme.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.acme.directory.clone();
        let (account, credentials) = builder().create(&new, directory.clone(), None).await?;
        self.kept.keep_account(&directory, credentials).await.map_err(other)?;
        Ok(account)
    }
}

impl Issued {
    pub(crate) fn renew_at(&self) -> SystemTime {
        self.renew_at
    }
}

/// Makes a certificate of its text, if it is good for all of the domains and for a while.
fn issued(text: &[u8], domains: &[String]) -> Result<Issued, String> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not PEM: {error}"))?;
    let leaf = chain.first().ok_or("it holds no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| format!("it holds no key: {error}"))?;
    let (begins, ends) = validity(leaf).ok_or("it cannot be read")?;
    if ends <= SystemTime::now() {
        return Err("it has expired".to_owned());
    }
    let named = hosts(leaf);
    if let Some(missing) = domains.iter().find(|domain| !named.contains(domain)) {
        return Err(format!("it is not for {missing}"));
    }
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| error.to_string())?;
    // A third of its life is left for the authority to be out of order.
    let life = ends.duration_since(begins).unwrap_or_default();
    Ok(Issued {
        certified,
        renew_at: ends - life / 3,
    })
}

/// The certificate that proves to the authority that the domain is ours (RFC 8737): made by ourselves, with the digest of
/// what only we can know in an extension that is critical.
fn proof(domain: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let text = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new([domain.to_owned()]).map_err(text)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(text)?;
    let made = params.self_signed(&key).map_err(text)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = ring::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    // Not read again, as a certificate from elsewhere is: nobody knows the extension but the authority.
    Ok(CertifiedKey::new(vec![made.der().clone()], key))
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;

    use super::*;

    fn text(domains: &[&str], from: (i32, u8, u8), until: (i32, u8, u8)) -> String {
        let mut params =
            CertificateParams::new(domains.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        format!("{}\n{}", key.serialize_pem(), params.self_signed(&key).unwrap().pem())
    }

    fn why_not(text: &str, domains: &[&str]) -> Option<String> {
        let domains: Vec<String> = domains.iter().map(|name| (*name).to_owned()).collect();
        issued(text.as_bytes(), &domains).err()
    }

    #[test]
    fn a_certificate_is_used_for_its_names_and_renewed_before_it_ends() {
        let good = text(&["a.test", "b.test"], (2020, 1, 1), (4020, 1, 1));
        assert_eq!(why_not(&good, &["a.test", "b.test"]), None);
        assert_eq!(
            why_not(&good, &["a.test", "c.test"]).as_deref(),
            Some("it is not for c.test")
        );
        let old = text(&["a.test"], (2020, 1, 1), (2021, 1, 1));
        assert_eq!(why_not(&old, &["a.test"]).as_deref(), Some("it has expired"));
        let half = good.split("-----BEGIN CERTIFICATE").next().unwrap();
        assert!(why_not(half, &["a.test"]).is_some());
        let other = KeyPair::generate().unwrap().serialize_pem();
        let mixed = format!("{other}{}", &good[half.len()..]);
        assert!(why_not(&mixed, &["a.test"]).is_some(), "the key of another one");

        // A third of its life before the end.
        let issued = issued(good.as_bytes(), &["a.test".to_owned()]).unwrap();
        let life = SystemTime::from(date_time_ymd(4020, 1, 1))
            .duration_since(date_time_ymd(2020, 1, 1).into())
            .unwrap();
        let before = SystemTime::from(date_time_ymd(4020, 1, 1))
            .duration_since(issued.renew_at())
            .unwrap();
        assert_eq!(before.as_secs(), (life / 3).as_secs());
    }

    #[test]
    fn only_names_that_can_be_proven_are_asked_for() {
        let acme = |domain: &str, directory: &str| Acme {
            domains: vec![domain.to_owned()],
            email: None,
            directory: directory.to_owned(),
            authorities: None,
            dir: PathBuf::new(),
        };
        assert!(acme("helve.example.org", LETS_ENCRYPT).check().is_ok());
        for domain in [
            "",
            "helve",
            "*.example.org",
            "127.0.0.1",
            "a..b",
            "Helve.example.org",
            "a/b.example.org",
            "a.b\n",
        ] {
            assert!(acme(domain, LETS_ENCRYPT).check().is_err(), "{domain}");
        }
        assert!(
            acme("helve.example.org", "http://ca.example/directory")
                .check()
                .is_err()
        );
    }

    #[test]
    fn the_proof_is_in_an_extension_that_is_critical() {
        let proof = proof("a.test", &[7; 32]).unwrap();
        let leaf = proof.cert[0].as_ref();
        // OID 1.3.6.1.5.5.7.1.31, TRUE, an octet string that holds an octet string of 32 bytes.
        let wanted = [
            &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f][..],
            &[0x01, 0x01, 0xff, 0x04, 0x22, 0x04, 0x20],
            &[7; 32],
        ]
        .concat();
        assert!(leaf.windows(wanted.len()).any(|bytes| bytes == wanted));
    }
}
