//! Organizations (design section 5).

use floe_core::limits::{ORGANIZATION_NAME_CHARS_MAX, ORGANIZATION_SLUG_BYTES_MAX};
use serde::Serialize;
use uuid::Uuid;

use crate::errors::{self, Errors, Loc, Violation};
use crate::fields::{Fields, unless_refused};
use crate::json::Json;
use crate::query::{Direction, Paging, QueryParams};
use crate::scalar;
use crate::wire::WireTimestamp;

/// An organization to create.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrganizationCreate {
    /// What people call it.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    pub name: String,
    /// What machines call it; unique on the server.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9-]{1,64}$"))]
    pub slug: String,
}

impl OrganizationCreate {
    /// Reads the body.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let name = fields.required("name", errors, name);
        let slug = fields.required("slug", errors, slug);
        Some(Self { name: name?, slug: slug? })
    }
}

/// Adds the error that another organization has the slug.
pub fn slug_taken(slug: &str, errors: &mut Errors) {
    let violation =
        Violation::plain("value_error", "An organization with this slug already exists.");
    errors.push_text(&Loc::BODY.key("slug"), violation, slug);
}

/// Changes of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OrganizationUpdate {
    /// The new name; absent or null leaves it.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    pub name: Option<String>,
}

impl OrganizationUpdate {
    /// Reads the body.
    pub fn parse(body: &Json<'_>, errors: &mut Errors) -> Option<Self> {
        let fields = Fields::of_body(body, errors)?;
        let before = errors.len();
        let name = fields.optional("name", errors, name);
        unless_refused(Self { name }, before, errors)
    }
}

fn name(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    scalar::sized_string(json, loc, errors, 1, ORGANIZATION_NAME_CHARS_MAX).map(str::to_owned)
}

fn slug(json: &Json<'_>, loc: &Loc<'_>, errors: &mut Errors) -> Option<String> {
    let slug = scalar::string(json, loc, errors)?;
    let is_slug = (1..=ORGANIZATION_SLUG_BYTES_MAX).contains(&slug.len())
        && slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if is_slug {
        return Some(slug.to_owned());
    }
    errors.push(loc, errors::string_pattern_mismatch("^[a-z0-9-]{1,64}$"), json);
    None
}

/// What organizations are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrganizationSort {
    /// When they were made.
    CreatedAt,
    /// Their names.
    Name,
}

/// The query of GET `/v1/organizations/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationsListParams {
    /// Only the one with exactly this slug.
    pub slug: Option<String>,
    /// Which page.
    pub paging: Paging,
    /// In which order; `created_at` by default.
    pub sorting: Vec<(OrganizationSort, Direction)>,
}

impl OrganizationsListParams {
    /// The names of the criteria.
    pub const SORTING: [(&'static str, OrganizationSort); 2] =
        [("created_at", OrganizationSort::CreatedAt), ("name", OrganizationSort::Name)];

    /// Reads the query.
    pub fn parse(query: &QueryParams, errors: &mut Errors) -> Option<Self> {
        let before = errors.len();
        let slug = query.last("slug").map(str::to_owned);
        let paging = query.paging(errors);
        let default = [(OrganizationSort::CreatedAt, Direction::Ascending)];
        let sorting = query.sorting(&Self::SORTING, &default, errors);
        unless_refused(Self { slug, paging, sorting }, before, errors)
    }
}

/// The query of GET `/v1/organizations/`, for documentation.
#[cfg(feature = "openapi")]
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OrganizationsListQuery {
    /// Only the one with exactly this slug.
    pub slug: Option<String>,
    /// `created_at` or `name`, with `-` in front to descend; may repeat.
    #[param(default = json!(["created_at"]))]
    pub sorting: Option<Vec<String>>,
}

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// When it was made.
    pub created_at: WireTimestamp,
    /// When it was last changed, if ever.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub modified_at: Option<WireTimestamp>,
    /// What people call it.
    pub name: String,
    /// What machines call it.
    pub slug: String,
}

impl From<&floe_core::Organization> for Organization {
    fn from(organization: &floe_core::Organization) -> Self {
        Self {
            id: organization.id.0,
            created_at: organization.created_at.into(),
            modified_at: organization.modified_at.map(Into::into),
            name: organization.name.clone(),
            slug: organization.slug.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::tests::{check_errors, json_text};
    use crate::json::parse;
    use floe_core::{OrganizationId, Timestamp};
    use proptest::prelude::*;

    #[test]
    fn a_body_of_create_is_read() {
        let body = parse(br#"{"name":" Acme ","slug":"acme-1","other":[1]}"#).unwrap();
        assert_eq!(
            OrganizationCreate::parse(&body, &mut Errors::new()),
            Some(OrganizationCreate { name: " Acme ".to_owned(), slug: "acme-1".to_owned() })
        );
    }

    #[test]
    fn wrong_bodies_of_create_are_refused() {
        let check = |body: &str, expected: &str| {
            check_errors(body, OrganizationCreate::parse, expected);
        };
        check("{}", r#"missing ["body","name"]; missing ["body","slug"]"#);
        check("null", r#"missing ["body"]"#);
        check("[]", r#"model_attributes_type ["body"]"#);
        check(
            r#"{"name":"","slug":"A"}"#,
            r#"string_too_short ["body","name"]; string_pattern_mismatch ["body","slug"]"#,
        );
        check(r#"{"name":"a\u0000","slug":"a"}"#, r#"value_error ["body","name"]"#);
        let (long_name, long_slug) = ("é".repeat(129), "a".repeat(65));
        check(
            &format!(r#"{{"name":"{long_name}","slug":"{long_slug}"}}"#),
            r#"string_too_long ["body","name"]; string_pattern_mismatch ["body","slug"]"#,
        );
        check(r#"{"name":"a","slug":""}"#, r#"string_pattern_mismatch ["body","slug"]"#);
        check(r#"{"name":"a","slug":"a\n"}"#, r#"string_pattern_mismatch ["body","slug"]"#);
    }

    #[test]
    fn a_taken_slug_is_a_business_error() {
        let mut errors = Errors::new();
        slug_taken("acme", &mut errors);
        assert_eq!(
            json_text(&errors),
            r#"[{"type":"value_error","loc":["body","slug"],"msg":"An organization with this slug already exists.","input":"acme"}]"#
        );
    }

    #[test]
    fn absent_and_null_names_stay() {
        for body in ["{}", r#"{"name":null}"#] {
            let body = parse(body.as_bytes()).unwrap();
            let update = OrganizationUpdate::parse(&body, &mut Errors::new());
            assert_eq!(update, Some(OrganizationUpdate { name: None }));
        }
        check_errors(r#"{"name":5}"#, OrganizationUpdate::parse, r#"string_type ["body","name"]"#);
    }

    #[test]
    fn a_list_has_parameters() {
        let mut errors = Errors::new();
        let query = QueryParams::parse("slug=a&sorting=-name");
        let params = OrganizationsListParams::parse(&query, &mut errors).unwrap();
        assert_eq!(params.slug.as_deref(), Some("a"));
        assert_eq!(params.sorting, [(OrganizationSort::Name, Direction::Descending)]);
        let query = QueryParams::parse("page=0&sorting=slug");
        assert_eq!(OrganizationsListParams::parse(&query, &mut errors), None);
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn every_field_is_answered() {
        let id = Uuid::from_u128(1);
        let organization = floe_core::Organization {
            id: OrganizationId(id),
            created_at: Timestamp::from_micros(0).unwrap(),
            modified_at: None,
            name: "Acme".to_owned(),
            slug: "acme".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&Organization::from(&organization)).unwrap(),
            r#"{"id":"00000000-0000-0000-0000-000000000001","created_at":"1970-01-01T00:00:00Z","modified_at":null,"name":"Acme","slug":"acme"}"#
        );
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in crate::fields::tests::any_body(&["name", "slug"])) {
            let body = parse(body.as_bytes()).unwrap();
            let mut errors = Errors::new();
            let read = OrganizationCreate::parse(&body, &mut errors);
            prop_assert_eq!(read.is_none(), !errors.is_empty());
            OrganizationUpdate::parse(&body, &mut errors);
        }
    }
}
