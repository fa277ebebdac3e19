//! Who calls, and what they may do (contract section 1.3, design section 5).

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use floe_api::errors::{self, ErrorClass, Errors, Loc, ValidationFailure, Violation};
use floe_api::json::Json;
use floe_api::meter::organization_token_error;
use floe_core::{OrganizationId, Scope};
use floe_store::embedded::token_hash;
use floe_store::port::{AccessToken, Catalog as _, Organizations};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use crate::app::App;
use crate::error::ApiError;

/// Who calls. Put into the request by the middleware that checks the token.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Nobody that we know.
    Anonymous,
    /// The root token, acting for one organization or for all.
    Root(Option<OrganizationId>),
    /// An organization's token.
    Token(Arc<AccessToken>),
}

/// The bearer token of a request; `None` without one that could be one.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

impl Identity {
    /// Tells who a request is from.
    ///
    /// # Errors
    ///
    /// A token that is not valid, or an organization that it may not act for.
    pub(crate) fn of(app: &App, headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(token) = bearer_token(headers) else { return Ok(Self::Anonymous) };
        let hash = token_hash(token);
        let header = headers.get("polar-organization").map(|value| {
            let id = value.to_str().ok().and_then(|text| text.parse().ok());
            id.map(OrganizationId).ok_or(ApiError::NotPermitted("This is no organization's id."))
        });
        let asked_for = header.transpose();
        if app.is_root_token(&hash) {
            let organization = asked_for?;
            if organization.is_some_and(|id| app.store.organization(id).is_none()) {
                return Err(ApiError::NotPermitted("There is no such organization."));
            }
            return Ok(Self::Root(organization));
        }
        let token = app.store.authenticate(&hash).ok_or(ApiError::InvalidToken)?;
        if asked_for?.is_some_and(|id| id != token.organization_id) {
            return Err(ApiError::NotPermitted("The token is of another organization."));
        }
        Ok(Self::Token(token))
    }

    /// Whether it has what `N` names.
    pub(crate) fn may<N: Needs>(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Root(_) => true,
            Self::Token(token) => {
                !N::ROOT_ONLY && N::ANY.iter().any(|scope| token.scopes.contains(scope))
            }
        }
    }
}

/// A set of scopes of which a caller needs one.
pub(crate) trait Needs {
    /// They.
    const ANY: &'static [Scope];
    /// Whether organizations' tokens are refused whatever their scopes.
    const ROOT_ONLY: bool = false;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident: $($scope:ident)|+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Needs for $name {
            const ANY: &'static [Scope] = &[$(Scope::$scope),+];
        }
    )*};
}

needs! {
    MetersRead: MetersRead | MetersWrite;
    MetersWrite: MetersWrite;
    EventsRead: EventsRead | EventsWrite;
    EventsWrite: EventsWrite;
    CustomersRead: CustomersRead | CustomersWrite;
    CustomersWrite: CustomersWrite;
    /// There is no write twin: no other scope helps.
    CustomerMetersRead: CustomerMetersRead;
    CustomerMetersWrite: CustomerMetersWrite;
    OrganizationsRead: OrganizationsRead;
    TokensRead: OrganizationAccessTokensRead | OrganizationAccessTokensWrite;
    TokensWrite: OrganizationAccessTokensWrite;
}

/// Only the root token will do.
#[derive(Debug)]
pub(crate) struct RootOnly;

impl Needs for RootOnly {
    const ANY: &'static [Scope] = &[];
    const ROOT_ONLY: bool = true;
}

/// A caller who may do what `N` names.
#[derive(Debug)]
pub(crate) struct Caller<N> {
    identity: Identity,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<App> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let identity = parts.extensions.get().cloned().unwrap_or(Identity::Anonymous);
        if let Identity::Anonymous = identity {
            return Err(ApiError::Anonymous);
        }
        if !identity.may::<N>() {
            let scopes = N::ANY.iter().map(|scope| scope.as_str()).collect();
            return Err(ApiError::InsufficientScope(scopes));
        }
        Ok(Self { identity, needs: PhantomData })
    }
}

impl<N> Caller<N> {
    /// The organization that the caller is, or acts as.
    pub(crate) fn organization(&self) -> Option<OrganizationId> {
        match &self.identity {
            Identity::Anonymous => None,
            Identity::Root(organization) => *organization,
            Identity::Token(token) => Some(token.organization_id),
        }
    }

    /// Whose rows the caller may see.
    pub(crate) fn organizations(&self) -> Organizations {
        match self.organization() {
            Some(id) => Organizations::one(id),
            None => Organizations::All,
        }
    }

    /// Whether the caller may hand out a scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        match &self.identity {
            Identity::Anonymous => false,
            Identity::Root(_) => true,
            Identity::Token(token) => token.scopes.contains(&scope),
        }
    }

    /// The organization that something is created in: the caller's own, or for the root token the
    /// one in the body (contract section 1.14, design section 5).
    pub(crate) fn organization_for_create(
        &self,
        app: &App,
        in_body: Option<uuid::Uuid>,
        body: &Json<'_>,
    ) -> Result<OrganizationId, ApiError> {
        let body_loc = Loc::BODY;
        let loc = body_loc.key("organization_id");
        match (self.organization(), in_body) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(given)) => {
                let mut errors = Errors::new();
                organization_token_error(&body_loc, given, &mut errors);
                errors.into_result(ErrorClass::PolarRequestValidationError)?;
                // There was an error: this is not reached.
                Err(ApiError::NotFound)
            }
            (None, None) => Err(ValidationFailure::schema(&loc, errors::missing(), body).into()),
            (None, Some(given)) => {
                let id = OrganizationId(given);
                if app.store.organization(id).is_some() {
                    return Ok(id);
                }
                let violation = Violation::plain("organization_id", "Organization not found.");
                let input = Json::Str(given.to_string().into());
                Err(ValidationFailure::business(&loc, violation, &input).into())
            }
        }
    }
}
