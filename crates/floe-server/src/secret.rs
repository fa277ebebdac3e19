//! Making tokens.

use floe_store::port::StoreError;

/// Random characters of a token: 62^43 is over 2^256.
const RANDOM_CHARS: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new organization access token. The prefix lets secret scanners find it.
pub(crate) fn access_token() -> Result<String, StoreError> {
    token("floe_oat_")
}

/// A new root token.
pub fn root_token() -> Result<String, StoreError> {
    token("floe_root_")
}

fn token(prefix: &str) -> Result<String, StoreError> {
    let mut token = prefix.to_owned();
    while token.len() < prefix.len() + RANDOM_CHARS {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(|error| {
            StoreError::Open(format!("the system gives no random bytes: {error}"))
        })?;
        // Six bits each; the two values beyond the alphabet are skipped, so none is likelier.
        let characters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        let missing = prefix.len() + RANDOM_CHARS - token.len();
        token.extend(characters.take(missing).map(|&character| char::from(character)));
    }
    Ok(token)
}
