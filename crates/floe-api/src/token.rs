//! Access tokens of organizations (contract section 5.9, design section 5).

use std::fmt;

use floe_core::{OrganizationId, Scope, Timestamp};
use serde::{Serialize, Serializer};
use speedate::{Duration, ParseError};
use uuid::Uuid;

use crate::errors::{self, Errors, Loc, Violation};
use crate::fields::{Fields, text, unless_refused};
use crate::json::Json;
use crate::meter::organization_ids;
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar;
use crate::wire::WireTimestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days of the longest duration there is.
const DURATION_DAYS_MAX: i64 = 999_999_999;

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenCreate {
    /// What it is for.
    pub comment: String,
    /// What it may do; each right once.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::scopes))]
    pub scopes: Vec<Scope>,
    /// For how long it lives, above 0: an ISO 8601 duration as in `P30D`, or seconds; null for
    /// ever.
    #[cfg_attr(
        feature = "openapi",
        schema(rename = "expires_in", value_type = Option<crate::schema::Lifetime>)
    )]
    pub expires_in_micros: Option<i64>,
    /// Whose token it is: needed with the root token, not allowed with an organization's.
    pub organization_id: Option<Uuid>,
}

impl TokenCreate {
    /// Reads a body; `None` after adding errors. `now` is when the token begins to live.
    pub fn parse(body: &Json<'_>, now: Timestamp, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let organization_id = fields.optional("organization_id", errors, scalar::uuid4);
        let comment = fields.required("comment", errors, text);
        let expires_in_micros = fields
            .optional("expires_in", errors, |json, loc, errors| lifetime(json, now, loc, errors));
        let scopes = fields.required("scopes", errors, scopes);
        let (comment, scopes) = (comment?, scopes?);
        unless_refused(Self { comment, scopes, expires_in_micros, organization_id }, before, errors)
    }

    /// When a token made `now` stops to live; `None` for never.
    #[must_use]
    pub fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        let micros = now.micros().saturating_add(self.expires_in_micros?);
        Some(Timestamp::from_micros(micros).unwrap_or(Timestamp::MAX))
    }
}

/// Changes of a token: absent and null leave a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenUpdate {
    /// What it is for.
    pub comment: Option<String>,
    /// What it may do; each right once.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::optional_scopes))]
    pub scopes: Option<Vec<Scope>>,
}

impl TokenUpdate {
    /// Reads a body; `None` after adding errors.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let update = Self {
            comment: fields.optional("comment", errors, text),
            scopes: fields.optional("scopes", errors, scopes),
        };
        unless_refused(update, before, errors)
    }

    /// Whether no field is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn scopes(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<Vec<Scope>> {
    let items = scalar::list(json, loc, errors)?;
    let before = errors.len();
    let mut scopes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let scope = scalar::enum_value(item, &loc.index(index), errors, &Scope::ALL);
        if let Some(scope) = scope.filter(|scope| !scopes.contains(scope)) {
            scopes.push(scope);
        }
    }
    unless_refused(scopes, before, errors)
}

/// A duration in microseconds, above 0 and not beyond the year 9999.
fn lifetime(json: &Json<'_>, now: Timestamp, loc: &Loc<'_>, errors: &mut Errors) -> Option<i64> {
    let violation = match duration(json) {
        Ok(micros) if micros <= 0 => errors::greater_than(0),
        Ok(micros) => match now.micros().checked_add(micros).and_then(Timestamp::from_micros) {
            Some(_) => return Some(micros),
            None => errors::value_error("The expiration must not be beyond the year 9999"),
        },
        Err(violation) => violation,
    };
    errors.push(loc, violation, json);
    None
}

/// A duration as pydantic reads one, in microseconds; those beyond 64 bits saturate.
fn duration(json: &Json<'_>) -> Result<i64, Violation> {
    let parsing = |error: &str| errors::time_delta_parsing(error.to_owned());
    let too_large = || parsing(duration_text(&ParseError::DurationDaysTooLarge));
    let seconds_max = (DURATION_DAYS_MAX + 1) * 86_400;
    match json {
        Json::Str(text) => {
            let duration = Duration::parse_str(text).map_err(|e| parsing(duration_text(&e)))?;
            let micros = i64::from(duration.day)
                .saturating_mul(MICROS_PER_DAY)
                .saturating_add(i64::from(duration.second) * MICROS_PER_SECOND)
                .saturating_add(duration.microsecond.into());
            Ok(if duration.positive { micros } else { -micros })
        }
        Json::Int(seconds) if seconds.unsigned_abs() >= seconds_max.unsigned_abs() => {
            Err(too_large())
        }
        Json::Int(seconds) => Ok(seconds.saturating_mul(MICROS_PER_SECOND)),
        Json::Bool(value) => Ok(i64::from(*value) * MICROS_PER_SECOND),
        Json::Float(seconds) if seconds.is_nan() => Err(parsing("NaN values not permitted")),
        #[expect(clippy::cast_precision_loss, reason = "it is far below 2^53")]
        Json::Float(seconds) if seconds.abs() >= seconds_max as f64 => Err(too_large()),
        #[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
        Json::Float(seconds) => Ok((seconds * 1e6).round() as i64),
        Json::BigInt(_) | Json::IntTooLong => Err(too_large()),
        Json::LoneSurrogate => Err(errors::string_unicode()),
        Json::Null | Json::Array(_) | Json::Object(_) | Json::TooDeep => {
            Err(errors::time_delta_type())
        }
    }
}

/// What speedate documents for its errors of durations.
fn duration_text(error: &ParseError) -> &'static str {
    match error {
        ParseError::TooShort => "input is too short",
        ParseError::ExtraCharacters => "unexpected extra characters at the end of the input",
        ParseError::DurationInvalidNumber => "invalid digit in duration",
        ParseError::DurationTRepeated => "`t` character repeated in duration",
        ParseError::DurationInvalidFraction => "quantity fraction invalid in duration",
        ParseError::DurationInvalidTimeUnit => "quantity invalid in time part of duration",
        ParseError::DurationInvalidDateUnit => "quantity invalid in date part of duration",
        ParseError::DurationInvalidDays => "\"day\" identifier in duration not correctly formatted",
        ParseError::DurationValueTooLarge => "a numeric value in the duration is too large",
        ParseError::DurationHourValueTooLarge => "durations may not exceed 999,999,999 hours",
        ParseError::DurationDaysTooLarge => "durations may not exceed 999,999,999 days",
        _ => "invalid duration",
    }
}

/// Adds the business error that a caller grants `scopes`, some of which it lacks.
pub fn scopes_exceeded(scopes: &[Scope], errors: &mut Errors) {
    let violation =
        Violation::plain("value_error", "Requested scopes exceed the caller's own scopes.");
    let names = scopes.iter().map(|scope| Json::Str(scope.as_str().into())).collect();
    errors.push(&Loc::BODY.key("scopes"), violation, &Json::Array(names));
}

/// What tokens are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSort {
    /// When they were made.
    CreatedAt,
    /// What they are for.
    Comment,
    /// When they were last used, if ever.
    LastUsedAt,
    /// When they expire, if ever.
    ExpiresAt,
}

/// Parameters of GET `/v1/organization-access-tokens/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensListParams {
    /// Any of these organizations.
    pub organization_ids: Option<Vec<OrganizationId>>,
    /// Which page.
    pub paging: Paging,
    /// Criteria in order; at least one.
    pub sorting: Vec<(TokenSort, Direction)>,
}

impl TokensListParams {
    /// Reads a query; `None` after adding errors.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let options = [
            ("created_at", TokenSort::CreatedAt),
            ("comment", TokenSort::Comment),
            ("last_used_at", TokenSort::LastUsedAt),
            ("expires_at", TokenSort::ExpiresAt),
        ];
        let default = [(TokenSort::CreatedAt, Direction::Descending)];
        let params = Self {
            organization_ids: organization_ids(query, errors),
            paging: query.paging(errors),
            sorting: query.sorting(&options, &default, errors),
        };
        unless_refused(params, before, errors)
    }
}

/// The parameters of GET `/v1/organization-access-tokens/`, for documentation; paging apart.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TokensListQuery {
    /// Any of these organizations; may repeat.
    pub organization_id: Option<Vec<Uuid>>,
    /// `created_at`, `comment`, `last_used_at` or `expires_at`, with `-` in front to descend; may
    /// repeat.
    #[param(default = json!(["-created_at"]))]
    pub sorting: Option<Vec<String>>,
}

/// An access token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccessToken {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: WireTimestamp,
    /// When it was last changed, if ever.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// What it may do.
    #[serde(serialize_with = "scope_names")]
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::scopes))]
    pub scopes: Vec<Scope>,
    /// When it stops to live; null for never.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub expires_at: Option<WireTimestamp>,
    /// What it is for.
    pub comment: String,
    /// When it was last used, true to a minute; null for never.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub last_used_at: Option<WireTimestamp>,
    /// Whose token it is.
    pub organization_id: Uuid,
}

fn scope_names<S: Serializer>(scopes: &[Scope], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(|scope| scope.as_str()))
}

/// A new token: the only answer that holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccessTokenCreated {
    /// The token without its secret.
    pub organization_access_token: AccessToken,
    /// The secret: what goes behind `Bearer`.
    pub token: String,
}

/// Prints nothing of the secret.
impl fmt::Debug for AccessTokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenCreated")
            .field("organization_access_token", &self.organization_access_token)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::{any_body, check_errors, json_text, read};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_micros(0).unwrap();

    fn create(body: &Json<'_>, errors: &mut Errors) -> Option<TokenCreate> {
        TokenCreate::parse(body, NOW, errors)
    }

    #[track_caller]
    fn check_lifetime(expires_in: &str, expected: Result<Option<i64>, &str>) {
        let body = format!(r#"{{"comment":"","scopes":[],"expires_in":{expires_in}}}"#);
        match (read(&body, create), expected) {
            ((Some(token), _), Ok(micros)) => assert_eq!(token.expires_in_micros, micros),
            ((None, errors), Err(kind)) => {
                assert_eq!(errors, format!(r#"{kind} ["body","expires_in"]"#), "{expires_in}");
            }
            (read, expected) => panic!("{expires_in}: {read:?}, {expected:?}"),
        }
    }

    #[test]
    fn a_lifetime_is_a_duration_or_seconds() {
        check_lifetime("null", Ok(None));
        check_lifetime("60", Ok(Some(60_000_000)));
        check_lifetime("1.5", Ok(Some(1_500_000)));
        check_lifetime("\"P1D\"", Ok(Some(86_400_000_000)));
        check_lifetime("\"PT1H\"", Ok(Some(3_600_000_000)));
        check_lifetime("\"1 day\"", Ok(Some(86_400_000_000)));
        check_lifetime("\"30:00:00\"", Ok(Some(108_000_000_000)));
        check_lifetime("0", Err("greater_than"));
        check_lifetime("-1", Err("greater_than"));
        check_lifetime("\"-P1D\"", Err("greater_than"));
        check_lifetime("\"P10000Y\"", Err("value_error"));
        check_lifetime("\"P999999999D\"", Err("value_error"));
        check_lifetime("86399999999999", Err("value_error"));
        check_lifetime("86399999999999.5", Err("value_error"));
        check_lifetime("86400000000000", Err("time_delta_parsing"));
        check_lifetime("1e20", Err("time_delta_parsing"));
        check_lifetime("NaN", Err("time_delta_parsing"));
        check_lifetime("-Infinity", Err("time_delta_parsing"));
        check_lifetime("1000000000000000000000000", Err("time_delta_parsing"));
        check_lifetime("\"3600\"", Err("time_delta_parsing"));
        check_lifetime("\"\"", Err("time_delta_parsing"));
        check_lifetime("[]", Err("time_delta_type"));
    }

    #[test]
    fn a_token_expires_in_its_lifetime() {
        let body = r#"{"comment":"c","scopes":["meters:read"],"expires_in":60}"#;
        let token = read(body, create).0.unwrap();
        assert_eq!(token.expires_at(NOW).unwrap().micros() - NOW.micros(), 60_000_000);
        let forever = TokenCreate { expires_in_micros: None, ..token };
        assert_eq!(forever.expires_at(NOW), None);
    }

    #[test]
    fn scopes_are_distinct_and_known() {
        let body = r#"{"comment":"c","scopes":["events:write","meters:read","events:write"]}"#;
        let token = read(body, create).0.unwrap();
        assert_eq!(token.scopes, [Scope::EventsWrite, Scope::MetersRead]);
        check_errors(
            r#"{"comment":"c","scopes":["meters:read","openid",7]}"#,
            create,
            r#"enum ["body","scopes",1]; enum ["body","scopes",2]"#,
        );
        check_errors(
            r#"{"comment":"c","scopes":"meters:read"}"#,
            create,
            r#"list_type ["body","scopes"]"#,
        );
    }

    #[test]
    fn wrong_bodies_are_refused() {
        check_errors("{}", create, r#"missing ["body","comment"]; missing ["body","scopes"]"#);
        check_errors(
            r#"{"organization_id":"x","comment":null,"scopes":[]}"#,
            create,
            r#"uuid_parsing ["body","organization_id"]; string_type ["body","comment"]"#,
        );
        check_errors(
            r#"{"comment":"\u0000","scopes":[]}"#,
            create,
            r#"value_error ["body","comment"]"#,
        );
        check_errors(
            r#"{"comment":1,"scopes":["x"]}"#,
            TokenUpdate::parse,
            r#"string_type ["body","comment"]; enum ["body","scopes",0]"#,
        );
    }

    #[test]
    fn an_update_leaves_what_is_absent_or_null() {
        let update = read(r#"{"comment":null,"scopes":null}"#, TokenUpdate::parse).0.unwrap();
        assert!(update.is_empty());
        let update = read(r#"{"scopes":[]}"#, TokenUpdate::parse).0.unwrap();
        assert_eq!(update, TokenUpdate { comment: None, scopes: Some(vec![]) });
    }

    #[test]
    fn nobody_grants_what_they_lack() {
        let mut errors = Errors::new();
        scopes_exceeded(&[Scope::MetersRead, Scope::EventsWrite], &mut errors);
        assert_eq!(
            json_text(&errors),
            r#"[{"type":"value_error","loc":["body","scopes"],"msg":"Requested scopes exceed the caller's own scopes.","input":["meters:read","events:write"]}]"#
        );
    }

    #[test]
    fn the_secret_is_in_the_answer_and_nowhere_else() {
        let token = AccessToken {
            id: Uuid::from_u128(1),
            created_at: NOW.into(),
            modified_at: None,
            scopes: vec![Scope::MetersRead],
            expires_at: None,
            comment: "c".to_owned(),
            last_used_at: None,
            organization_id: Uuid::from_u128(2),
        };
        let created =
            AccessTokenCreated { organization_access_token: token, token: "secret".to_owned() };
        assert!(!format!("{created:?}").contains("secret"));
        assert_eq!(
            serde_json::to_string(&created).unwrap(),
            r#"{"organization_access_token":{"id":"00000000-0000-0000-0000-000000000001","created_at":"1970-01-01T00:00:00Z","modified_at":null,"scopes":["meters:read"],"expires_at":null,"comment":"c","last_used_at":null,"organization_id":"00000000-0000-0000-0000-000000000002"},"token":"secret"}"#
        );
    }

    #[test]
    fn a_list_has_parameters() {
        let mut errors = Errors::new();
        let params = TokensListParams::parse(&QueryParams::parse(""), &mut errors).unwrap();
        assert_eq!(params.sorting, [(TokenSort::CreatedAt, Direction::Descending)]);
        let query = QueryParams::parse("sorting=-last_used_at&sorting=comment");
        assert!(TokensListParams::parse(&query, &mut errors).is_some());
        let query = QueryParams::parse("sorting=scopes");
        assert_eq!(TokensListParams::parse(&query, &mut errors), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(
            body in any_body(&["comment", "scopes", "expires_in", "organization_id"])
        ) {
            read(&body, create);
            read(&body, TokenUpdate::parse);
        }

        #[test]
        fn no_duration_makes_it_panic(text in "[-+]?P?[0-9]{0,12}[DTHMYWS0-9 :.dayhs]{0,8}") {
            let _ = duration(&Json::Str(text.into()));
        }
    }
}
