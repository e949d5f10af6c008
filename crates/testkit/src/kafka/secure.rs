//! A listener with TLS and SASL, beside the plain one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Who may write and read everything.
pub const USER: &str = "fleet";
/// Who may do nothing.
pub const STRANGER: &str = "stranger";
/// The password of both.
pub const PASSWORD: &str = "only-for-tests";

/// The secure listener of a node.
#[derive(Debug, Clone)]
pub(super) struct Secure {
    pub(super) port: u16,
    /// The root of its certificate.
    pub(super) root: PathBuf,
    /// Its key and certificate.
    keystore: PathBuf,
}

impl Secure {
    /// Makes a root, and a certificate for 127.0.0.1 under it.
    pub(super) fn make(port: u16, dir: &Path) -> anyhow::Result<Secure> {
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let root = authority.self_signed(&key)?;
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
        let secure = Secure { port, root: dir.join("root.pem"), keystore: dir.join("server.pem") };
        std::fs::write(&secure.root, root.pem())?;
        let keystore = [key.serialize_pem(), certificate.pem(), root.pem()].concat();
        std::fs::write(&secure.keystore, keystore).context("the certificate of Kafka")?;
        Ok(secure)
    }

    /// What `format` must be told: SCRAM users are part of the metadata.
    pub(super) fn users() -> Vec<String> {
        let user = |mechanism: &str, name: &str| {
            ["--add-scram".to_owned(), format!("{mechanism}=[name={name},password={PASSWORD}]")]
        };
        let mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
        mechanisms
            .iter()
            .flat_map(|mechanism| user(mechanism, USER))
            .chain(user(mechanisms[1], STRANGER))
            .collect()
    }

    pub(super) fn properties(&self) -> String {
        let login = "org.apache.kafka.common.security";
        format!(
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{USER}
",
            keystore = self.keystore.display(),
        )
    }
}
