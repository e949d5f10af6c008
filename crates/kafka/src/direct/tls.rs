//! TLS to brokers, under librdkafka's names for what is trusted and who we are.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tenantry_ports::BusError;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::wire::{Stream, Trouble};
use crate::client::refused;

/// What the properties say of TLS.
#[derive(Default)]
pub(crate) struct Named {
    /// `ssl.ca.location`; else the system's roots.
    pub(crate) roots: Option<String>,
    /// `ssl.certificate.location`, for brokers that want to see one.
    pub(crate) certificate: Option<String>,
    /// `ssl.key.location`.
    pub(crate) key: Option<String>,
    /// `ssl.endpoint.identification.algorithm=none`: the name in the certificate is not looked at.
    pub(crate) any_name: bool,
}

/// A connector. Reads files, makes no connection.
///
/// # Errors
/// `bus_settings`, with the file that cannot be used.
pub(crate) fn connector(named: &Named) -> Result<TlsConnector, BusError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(roots(named.roots.as_deref())?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let chain = verifier.build().map_err(|error| wrong("ssl.ca.location", error))?;
    let verifier: Arc<dyn ServerCertVerifier> = match named.any_name {
        true => Arc::new(AnyName(chain)),
        false => chain,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong("security.protocol", error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&named.certificate, &named.key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(chain), Some(key)) => {
            let wrong_key = |error| wrong("ssl.key.location", format_args!("{key}: {error}"));
            let key = PrivateKeyDer::from_pem_file(key).map_err(wrong_key)?;
            let identity =
                builder.with_client_auth_cert(certificates("ssl.certificate.location", chain)?, key);
            identity.map_err(|error| wrong("ssl.certificate.location", error))?
        }
        _ => return Err(wrong("ssl.key.location", "it is given with ssl.certificate.location, or neither")),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Shakes hands over a connection to `host`.
pub(crate) async fn wrap(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<Box<dyn Stream>, Trouble> {
    let trouble = |what: &dyn std::fmt::Display| Trouble::Passing(format!("{host}: TLS: {what}"));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| trouble(&error))?;
    let stream = connector.connect(name, stream).await.map_err(|error| trouble(&error))?;
    Ok(Box::new(stream))
}

fn roots(file: Option<&str>) -> Result<RootCertStore, BusError> {
    let mut roots = RootCertStore::empty();
    match file.filter(|file| *file != "probe") {
        Some(file) => {
            for certificate in certificates("ssl.ca.location", file)? {
                roots.add(certificate).map_err(|error| wrong("ssl.ca.location", error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(wrong("ssl.ca.location", "there is no root certificate"));
    }
    Ok(roots)
}

fn certificates(name: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, BusError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.map_err(|error| wrong(name, format_args!("{file}: {error}")))
}

fn wrong(name: &str, what: impl std::fmt::Display) -> BusError {
    refused("bus_settings", format_args!("{name}: {what}"), "name a readable PEM file")
}

/// Wants a certificate of a known root, under whatever name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The chain is checked before the name.
        match self.0.verify_server_cert(end, between, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
