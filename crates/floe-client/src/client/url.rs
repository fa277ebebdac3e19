//! Addresses of servers.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::{Error, Result};

/// An address of a server: http or https, a host, perhaps a port and a path, nothing else.
pub(super) fn parse(text: &str) -> Result<Url> {
    let refuse = |reason: String| Error::InvalidUrl { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| refuse(error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "tls") => {}
        "https" => return Err(refuse("this program was built without TLS".to_owned())),
        _ => return Err(refuse("it must begin with http:// or https://".to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: it may hold a secret.
        return Err(Error::InvalidUrl {
            url: url.host_str().unwrap_or_default().to_owned(),
            reason: "it must hold no user or password; there is a token for that".to_owned(),
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it must end with the path".to_owned()));
    }
    Ok(url)
}

pub(super) fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_needs_no_proxy() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://floe.example", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
