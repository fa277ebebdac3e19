//! Trust in servers behind https.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::error::{Error, Result};

/// Trust in whom the system trusts; in nobody, and without asking the system, if no
/// certificate is to be judged. The provider is given here, as choosing one for the whole
/// process is not for a library.
pub(super) fn config(is_needed: bool) -> Result<ClientConfig> {
    let setup = |error: rustls::Error| Error::Setup(error.into());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    Ok(if is_needed {
        builder.with_platform_verifier().map_err(setup)?.with_no_client_auth()
    } else {
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    })
}
