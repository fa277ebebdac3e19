//! What a token may do (contract section 1.3, design section 5).

/// A right of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Read meters and quantities.
    MetersRead,
    /// Make and change meters; includes reading them.
    MetersWrite,
    /// Read events, names and event types.
    EventsRead,
    /// Ingest events, change event types; includes reading them.
    EventsWrite,
    /// Read customers and their state.
    CustomersRead,
    /// Make, change and delete customers; includes reading them.
    CustomersWrite,
    /// Read customer meters.
    CustomerMetersRead,
    /// Credit and reset customer meters.
    CustomerMetersWrite,
    /// Read the token's own organization.
    OrganizationsRead,
    /// List the organization's tokens.
    OrganizationAccessTokensRead,
    /// Make, change and revoke the organization's tokens.
    OrganizationAccessTokensWrite,
}

impl Scope {
    /// All, by their wire names.
    pub const ALL: [(&'static str, Self); 11] = [
        ("meters:read", Self::MetersRead),
        ("meters:write", Self::MetersWrite),
        ("events:read", Self::EventsRead),
        ("events:write", Self::EventsWrite),
        ("customers:read", Self::CustomersRead),
        ("customers:write", Self::CustomersWrite),
        ("customer_meters:read", Self::CustomerMetersRead),
        ("customer_meters:write", Self::CustomerMetersWrite),
        ("organizations:read", Self::OrganizationsRead),
        ("organization_access_tokens:read", Self::OrganizationAccessTokensRead),
        ("organization_access_tokens:write", Self::OrganizationAccessTokensWrite),
    ];

    /// The wire's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }

    /// The scope of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(text, _)| *text == name).map(|(_, scope)| *scope)
    }
}
