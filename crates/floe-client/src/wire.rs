//! What the modules of the resources share: names of the wire, and parameters of queries.

use std::borrow::Cow;
use std::fmt;

use crate::filter::Filter;
use crate::metadata::MetadataValue;

/// A text is none of the names that the wire knows for a thing.
///
/// ```
/// use floe_client::Interval;
///
/// let error = "fortnight".parse::<Interval>().unwrap_err();
/// assert_eq!(error.to_string(), "`fortnight` is none of year, month, week, day, hour");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    pub(crate) name: String,
    pub(crate) known: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is none of {}", self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}

/// A closed set of names: its enum, and the ways between the two.
macro_rules! wire_names {
    (
        $(#[$meta:meta])*
        pub enum $Name:ident { $($(#[$variant_meta:meta])* $Variant:ident = $wire:literal,)+ }
    ) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$variant_meta])* #[serde(rename = $wire)] $Variant,)+
        }

        impl $Name {
            /// Every value.
            ///
            #[doc = concat!(
                "```\nuse floe_client::", stringify!($Name), ";\n\n",
                "let names: Vec<_> = ", stringify!($Name), "::ALL.iter().map(ToString::to_string).collect();\n",
                "assert_eq!(names, [\n", $("    \"", $wire, "\",\n",)+ "]);\n```",
            )]
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The name, as the wire writes it; [`parse`](str::parse) reads it.
            ///
            #[doc = concat!(
                "```\nuse floe_client::", stringify!($Name), ";\n\n",
                $(
                    "assert_eq!(", stringify!($Name), "::", stringify!($Variant), ".as_str(), \"", $wire, "\");\n",
                )+
                "```",
            )]
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Variant => $wire,)+
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
                match name {
                    $($wire => Ok(Self::$Variant),)+
                    _ => Err($crate::UnknownName {
                        name: name.to_owned(),
                        known: vec![$($wire),+],
                    }),
                }
            }
        }
    };
}

pub(crate) use wire_names;

/// One parameter of a query.
pub(crate) type Parameter = (Cow<'static, str>, String);

/// The parameters of a query, in the order in which they were set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// One more value of a parameter that may have many.
    pub(crate) fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((Cow::Borrowed(name), value.to_string()));
    }

    /// The value of a parameter that has one.
    pub(crate) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.0.retain(|(known, _)| known != name);
        self.add(name, value);
    }

    /// The filter that events must pass.
    pub(crate) fn set_filter(&mut self, filter: &Filter) {
        // A filter is always JSON: it consists of texts, numbers and truth values.
        self.set("filter", serde_json::to_string(filter).unwrap_or_default());
    }

    /// One more value that a key of metadata may have.
    pub(crate) fn add_metadata(&mut self, key: &str, value: &MetadataValue) {
        self.0.push((Cow::Owned(format!("metadata[{key}]")), value.to_string()));
    }

    /// The value of a parameter that has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn pairs(&self) -> &[Parameter] {
        &self.0
    }
}

/// Setters of a list's pages. The struct has `parameters`.
///
/// As in the macros below, the parameters are for the examples of the documentation: the struct,
/// the call that takes `&list`, how one is made, and what runs the example.
#[rustfmt::skip] // It would move the examples to the right, with each change.
macro_rules! paging_setters {
    ($List:ident, $call:literal) => {
        paging_setters!(
            $List,
            $call,
            "::new()",
            "run_with_sample(async |client, meter, (start, end)|"
        );
    };
    ($List:ident, $call:literal, $new:literal, $run:literal) => {
        /// The page, from 1. Without this, the first.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::", $run, " {\n",
            "use floe_client::", stringify!($List), ";\n\n",
            "let list = ", stringify!($List), $new, ".page(2);\n",
            "let page = client.", $call, ".await?;\n",
            "assert!(page.items.is_empty(), \"all of them are on the first page\");\n",
            "# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn page(mut self, page: u64) -> Self {
            self.parameters.set("page", page);
            self
        }

        /// Items on a page, from 1 to [`PAGE_ITEMS_MAX`](crate::PAGE_ITEMS_MAX). Without this,
        /// as many as may be.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::", $run, " {\n",
            "use floe_client::", stringify!($List), ";\n\n",
            "let list = ", stringify!($List), $new, ".limit(1);\n",
            "let page = client.", $call, ".await?;\n",
            "assert_eq!(page.items.len(), 1);\n",
            "assert_eq!(page.pagination.max_page, page.pagination.total_count);\n",
            "# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn limit(mut self, limit: u32) -> Self {
            self.parameters.set("limit", limit);
            self
        }
    };
}

/// Setters of a list's order. For the examples: how to sort, and the same as a field of an item.
#[rustfmt::skip] // It would move the examples to the right, with each change.
macro_rules! sorting_setters {
    ($Sort:ident::$Variant:ident, $field:literal, $List:ident, $call:literal) => {
        sorting_setters!(
            $Sort::$Variant,
            $field,
            $List,
            $call,
            "::new()",
            "run_with_sample(async |client, meter, (start, end)|"
        );
    };
    (
        $Sort:ident::$Variant:ident, $field:literal, $List:ident, $call:literal, $new:literal,
        $run:literal
    ) => {
        /// Sorts by this, the least first; among equals of what was named before.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::", $run, " {\n",
            "use floe_client::{", stringify!($Sort), ", ", stringify!($List), "};\n\n",
            "let list = ", stringify!($List), $new,
            ".ascending(", stringify!($Sort), "::", stringify!($Variant), ");\n",
            "let items = client.", $call, ".await?.items;\n",
            "assert!(items.is_sorted_by(|a, b| a.", $field, " <= b.", $field, "));\n",
            "# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn ascending(mut self, by: $Sort) -> Self {
            self.parameters.add("sorting", by);
            self
        }

        /// Sorts by this, the greatest first; among equals of what was named before.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::", $run, " {\n",
            "use floe_client::{", stringify!($Sort), ", ", stringify!($List), "};\n\n",
            "let list = ", stringify!($List), $new,
            ".descending(", stringify!($Sort), "::", stringify!($Variant), ");\n",
            "let items = client.", $call, ".await?.items;\n",
            "assert!(items.is_sorted_by(|a, b| a.", $field, " >= b.", $field, "));\n",
            "# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn descending(mut self, by: $Sort) -> Self {
            self.parameters.add("sorting", format!("-{by}"));
            self
        }
    };
}

/// A setter that picks organizations.
macro_rules! organization_setter {
    ($List:ident, $call:literal) => {
        /// Only this organization's, or one's of those, if called more than once. An
        /// organization's token sees only its own anyway; this is for the root token.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::run_as_root(async |client| {\n",
            "use floe_client::{", stringify!($List), ", OrganizationCreate};\n\n",
            "let acme = client.organizations().create(&OrganizationCreate::new(\"Acme\", \"acme\")).await?;\n",
            "let list = ", stringify!($List), "::new().organization(acme.id);\n",
            "assert_eq!(client.", $call, ".await?.pagination.total_count, 0);\n",
            "# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn organization(mut self, id: uuid::Uuid) -> Self {
            self.parameters.add("organization_id", id);
            self
        }
    };
}

/// Setters that pick customers. For the examples: what to do with the struct, which is `wanted`
/// there, and how it is made.
#[rustfmt::skip] // It would move the examples to the right, with each change.
macro_rules! customer_setters {
    ($List:ident, $then:literal) => {
        customer_setters!($List, $then, "", "::new()");
    };
    ($List:ident, $then:literal, $uses:literal, $new:literal) => {
        /// Only of this customer, or of one of those, if called more than once.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::run_with_sample(async |client, meter, (start, end)| {\n",
            "use floe_client::{", $uses, stringify!($List), "};\n\n",
            "let ada = client.customers().get_external(\"user-1\").await?;\n",
            "let wanted = ", stringify!($List), $new, ".customer_id(ada.id);\n",
            $then,
            "\n# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn customer_id(mut self, id: uuid::Uuid) -> Self {
            self.parameters.add("customer_id", id);
            self
        }

        /// Only of the customer with this external id, or of one of those, if called more than
        /// once. The id is the caller's own; no customer of the server needs to have it.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::run_with_sample(async |client, meter, (start, end)| {\n",
            "use floe_client::{", $uses, stringify!($List), "};\n\n",
            "let wanted = ", stringify!($List), $new, ".external_customer_id(\"user-1\");\n",
            $then,
            "\n# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn external_customer_id(mut self, id: impl Into<String>) -> Self {
            self.parameters.add("external_customer_id", id.into());
            self
        }
    };
}

/// A setter that picks by metadata. For the example: a key and its value, what to do with the
/// struct, which is `wanted` there, and how it is made.
#[rustfmt::skip] // It would move the examples to the right, with each change.
macro_rules! metadata_setter {
    ($List:ident, $pair:literal, $then:literal) => {
        metadata_setter!($List, $pair, $then, "", "::new()");
    };
    ($List:ident, $pair:literal, $then:literal, $uses:literal, $new:literal) => {
        /// Only where the metadata have this value at this key, at the top level. With the same
        /// key again, one of the values will do; with another key, both must hold.
        ///
        #[doc = concat!(
            "```\n# floe_client_doc::run_with_sample(async |client, meter, (start, end)| {\n",
            "use floe_client::{", $uses, stringify!($List), "};\n\n",
            "let wanted = ", stringify!($List), $new, ".metadata(", $pair, ");\n",
            $then,
            "\n# Ok(())\n# });\n```",
        )]
        #[must_use]
        pub fn metadata(
            mut self,
            key: impl AsRef<str>,
            value: impl Into<crate::MetadataValue>,
        ) -> Self {
            self.parameters.add_metadata(key.as_ref(), &value.into());
            self
        }
    };
}

pub(crate) use {
    customer_setters, metadata_setter, organization_setter, paging_setters, sorting_setters,
};

/// Segments of a path with an id at the end.
pub(crate) fn item<'p>(path: [&'p str; 3], id: &'p str) -> [&'p str; 3] {
    let [version, resource, _] = path;
    [version, resource, id]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timestamp::Timestamp;
    use uuid::Uuid;

    #[test]
    fn parameters_are_set_once_or_added() {
        let mut parameters = Parameters::default();
        parameters.set("page", 1);
        parameters.set("page", 2);
        parameters.add("customer_id", Uuid::nil());
        parameters.add("customer_id", Uuid::nil());
        parameters.set("start_timestamp", Timestamp::from_unix_seconds(0).unwrap());
        parameters.add_metadata("a b", &MetadataValue::from(7.0));
        let text: Vec<_> =
            parameters.pairs().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let nil = "customer_id=00000000-0000-0000-0000-000000000000";
        let start = "start_timestamp=1970-01-01T00:00:00Z";
        assert_eq!(text, ["page=2", nil, nil, start, "metadata[a b]=7.0"]);
        assert!(parameters.has("page") && !parameters.has("limit"));
    }
}
