//! Billing addresses.

use floe_core::Address as CoreAddress;
use serde::Serialize;

use crate::errors::{self, Errors, Loc};
use crate::fields::{Fields, trimmed};
use crate::json::Json;

/// ISO 3166-1 alpha-2, without the countries that Polar cannot bill (contract section 5.1): CU, IR,
/// KP, RU, SY.
#[rustfmt::skip]
const COUNTRIES: [&str; 244] = [
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW",
    "AX", "AZ", "BA", "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN",
    "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG",
    "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CV", "CW", "CX", "CY", "CZ", "DE",
    "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ",
    "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM",
    "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT",
    "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IS", "IT", "JE", "JM", "JO", "JP",
    "KE", "KG", "KH", "KI", "KM", "KN", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI",
    "LK", "LR", "LS", "LT", "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH",
    "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT", "MU", "MV", "MW", "MX",
    "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ",
    "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW",
    "PY", "QA", "RE", "RO", "RS", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI",
    "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST", "SV", "SX", "SZ", "TC", "TD",
    "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ",
    "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF",
    "WS", "YE", "YT", "ZA", "ZM", "ZW",
];

/// The 50 states and the District of Columbia.
#[rustfmt::skip]
const US_STATES: [&str; 51] = [
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN",
    "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE", "NV",
    "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN",
    "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY", "DC",
];

/// Provinces and territories.
const CA_SUBDIVISIONS: [&str; 13] =
    ["AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON", "PE", "QC", "SK", "YT"];

/// A billing address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Address {
    /// First line.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub line1: Option<String>,
    /// Second line.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub line2: Option<String>,
    /// Postal code.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub postal_code: Option<String>,
    /// City.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub city: Option<String>,
    /// State; with the country in front for the United States and Canada, as in `US-CA`.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub state: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[cfg_attr(feature = "openapi", schema(example = "US", min_length = 2, max_length = 2))]
    pub country: String,
}

impl From<&CoreAddress> for Address {
    fn from(address: &CoreAddress) -> Self {
        let CoreAddress { line1, line2, postal_code, city, state, country } = address.clone();
        Self { line1, line2, postal_code, city, state, country }
    }
}

/// A billing address. Texts are trimmed, blank ones are null; states of the United States and
/// Canada are checked and get the country in front.
pub(crate) fn address(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<CoreAddress> {
    let fields = Fields::of(json, loc, errors)?;
    let before = errors.len();
    let mut text = |key| fields.optional(key, errors, trimmed).flatten();
    let (line1, line2) = (text("line1"), text("line2"));
    let (postal_code, city, state) = (text("postal_code"), text("city"), text("state"));
    let country = fields.required("country", errors, country)?;
    if errors.len() > before {
        return None;
    }
    let state = match (state, country) {
        (Some(state), "US") => Some(prefixed(&state, "US", &US_STATES).ok_or("Invalid US state")),
        (Some(state), "CA") => {
            Some(prefixed(&state, "CA", &CA_SUBDIVISIONS).ok_or("Invalid CA subdivision"))
        }
        (state, _) => state.map(Ok),
    };
    match state.transpose() {
        Ok(state) => {
            let country = country.to_owned();
            Some(CoreAddress { line1, line2, postal_code, city, state, country })
        }
        Err(message) => {
            fields.refuse(errors::value_error(message), errors);
            None
        }
    }
}

/// `US-CA` for `CA` or `US-CA`, if it is one of `states`.
fn prefixed(state: &str, country: &str, states: &[&str]) -> Option<String> {
    let prefix = format!("{country}-");
    let state = state.strip_prefix(&prefix).unwrap_or(state);
    states.contains(&state).then(|| prefix + state)
}

fn country(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<&'static str> {
    let upper = json.as_str().map(str::to_ascii_uppercase);
    let found = COUNTRIES.into_iter().find(|country| upper.as_deref() == Some(*country));
    if found.is_none() {
        let violation = match json {
            Json::LoneSurrogate => errors::string_unicode(),
            _ => errors::enumeration(COUNTRIES),
        };
        errors.push(loc, violation, json);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse;

    #[track_caller]
    fn read(body: &str) -> (Option<CoreAddress>, Vec<(String, String)>) {
        let mut errors = Errors::new();
        let read = address(&parse(body.as_bytes()).unwrap(), &Loc::BODY, &mut errors);
        let errors = errors.items().iter().map(|item| {
            let value = serde_json::to_value(item).unwrap();
            (value["loc"].to_string(), value["msg"].as_str().unwrap().to_owned())
        });
        (read, errors.collect())
    }

    #[track_caller]
    fn check_state(country: &str, state: &str, expected: Result<&str, &str>) {
        let (address, errors) = read(&format!(r#"{{"country":"{country}","state":"{state}"}}"#));
        match expected {
            Ok(state) => assert_eq!(address.unwrap().state.as_deref(), Some(state)),
            Err(message) => {
                assert_eq!(errors, [(r#"["body"]"#.to_owned(), message.to_owned())]);
            }
        }
    }

    #[test]
    fn states_are_checked_and_prefixed() {
        check_state("US", "CA", Ok("US-CA"));
        check_state("us", "US-NY", Ok("US-NY"));
        check_state("US", " DC ", Ok("US-DC"));
        check_state("US", "QC", Err("Value error, Invalid US state"));
        check_state("US", "ca", Err("Value error, Invalid US state"));
        check_state("CA", "QC", Ok("CA-QC"));
        check_state("CA", "NY", Err("Value error, Invalid CA subdivision"));
        check_state("FR", "anything", Ok("anything"));
    }

    #[test]
    fn texts_are_trimmed_and_blank_ones_are_null() {
        let (address, errors) =
            read(r#"{"country":"de","line1":" a ","line2":" ","city":null,"unknown":1}"#);
        assert_eq!(errors, []);
        assert_eq!(
            address,
            Some(CoreAddress {
                line1: Some("a".to_owned()),
                line2: None,
                postal_code: None,
                city: None,
                state: None,
                country: "DE".to_owned(),
            })
        );
    }

    #[test]
    fn every_wrong_field_is_told() {
        let (address, errors) = read(r#"{"line1":1,"city":"a\u0000b"}"#);
        assert_eq!(address, None);
        let locs: Vec<&str> = errors.iter().map(|(loc, _)| loc.as_str()).collect();
        assert_eq!(locs, [r#"["body","line1"]"#, r#"["body","city"]"#, r#"["body","country"]"#]);
        for country in ["CU", "IR", "KP", "RU", "SY", "XX", "", "USA"] {
            let (_, errors) = read(&format!(r#"{{"country":"{country}"}}"#));
            assert!(errors[0].1.starts_with("Input should be 'AD', 'AE', "), "{errors:?}");
            assert!(errors[0].1.ends_with(" or 'ZW'"), "{errors:?}");
        }
    }
}
