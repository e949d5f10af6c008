//! Says who we are: PLAIN, or SCRAM in its two sizes.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use rsasl::config::SASLConfig;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, State};

use super::wire::{Connection, Trouble};

/// The mechanisms that there are.
pub(crate) const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// Who we are.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// One of [`MECHANISMS`].
    pub(crate) mechanism: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Goes through the whole exchange. What goes wrong may go better later: users are made and passwords changed while
/// clients run.
pub(crate) async fn authenticate(
    connection: &mut Connection,
    who: &Credentials,
    within: Duration,
) -> Result<(), Trouble> {
    let trouble = |what: &dyn std::fmt::Display| {
        Trouble::Passing(format!("bus_sasl: {} as {}: {what}", who.mechanism, who.user))
    };
    let mechanism = StrBytes::from_string(who.mechanism.clone());
    let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
    let answer = connection.call(&handshake, within).await?;
    if let Some(error) = ResponseError::try_from_code(answer.error_code) {
        return Err(trouble(&error));
    }
    let config = SASLConfig::with_credentials(None, who.user.clone(), who.password.clone());
    let client = SASLClient::new(config.map_err(|error| trouble(&error))?);
    let mechanism = Mechname::parse(who.mechanism.as_bytes()).map_err(|error| trouble(&error))?;
    let mut session = client.start_suggested(&[mechanism]).map_err(|error| trouble(&error))?;
    let mut heard: Option<Vec<u8>> = None;
    loop {
        let mut said = Vec::new();
        let state = session.step(heard.as_deref(), &mut said).map_err(|error| trouble(&error))?;
        let done = matches!(state, State::Finished(_));
        // PLAIN is through with its first message, SCRAM with the last answer, which proves that the broker knows us.
        if !said.is_empty() {
            let request = SaslAuthenticateRequest::default().with_auth_bytes(said.into());
            let answer = connection.call(&request, within).await?;
            if let Some(error) = ResponseError::try_from_code(answer.error_code) {
                let more = answer.error_message.as_deref().unwrap_or_default();
                return Err(trouble(&format_args!("{error} {more}")));
            }
            heard = Some(answer.auth_bytes.to_vec());
        }
        if done {
            return Ok(());
        }
    }
}
