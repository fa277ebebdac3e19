//! Which events a meter counts.

mod clause;
mod read;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::clause::{CLAUSE_VALUE_CHARS_MAX, FilterClause, FilterValue, Operator};
use crate::wire::wire_names;

/// Filters within filters, the outermost included, at most.
///
/// ```
/// use floe_client::{FILTER_LEVELS_MAX, Filter, InvalidFilter};
///
/// let mut filter = Filter::and();
/// for _ in 1..FILTER_LEVELS_MAX {
///     filter = Filter::and().nest(filter)?;
/// }
/// assert_eq!(Filter::and().nest(filter), Err(InvalidFilter::TooDeep));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const FILTER_LEVELS_MAX: usize = 64;

wire_names! {
    /// How the clauses of a filter are joined.
    ///
    /// ```
    /// use floe_client::{Conjunction, Filter};
    ///
    /// assert_eq!(Filter::or().conjunction(), Conjunction::Or);
    /// assert_eq!(Conjunction::Or.as_str(), "or");
    /// ```
    pub enum Conjunction {
        /// All must hold; without any clause it holds.
        And = "and",
        /// One at least must hold; without any clause it holds, too.
        Or = "or",
    }
}

/// Clauses and filters, joined by [`Conjunction::And`] or [`Conjunction::Or`].
///
/// ```
/// # floe_client_doc::run(async |client| {
/// # floe_client_doc::events(&client).await?;
/// use floe_client::{EventsList, Filter, FilterClause};
///
/// let large = Filter::and()
///     .clause(FilterClause::equal("name", "ai_usage"))
///     .nest(
///         Filter::or()
///             .clause(FilterClause::greater("tokens", 100))
///             .clause(FilterClause::like("model", "-large")),
///     )?;
/// assert_eq!(
///     serde_json::to_string(&large)?,
///     concat!(
///         r#"{"conjunction":"and","clauses":["#,
///         r#"{"property":"name","operator":"eq","value":"ai_usage"},"#,
///         r#"{"conjunction":"or","clauses":["#,
///         r#"{"property":"tokens","operator":"gt","value":100},"#,
///         r#"{"property":"model","operator":"like","value":"-large"}]}]}"#,
///     )
/// );
/// let page = client.events().list(&EventsList::new().filter(&large)).await?;
/// assert_eq!(page.items.len(), 2);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filter {
    conjunction: Conjunction,
    clauses: Vec<FilterPart>,
}

/// A part of a [`Filter`].
///
/// ```
/// use floe_client::{Filter, FilterClause, FilterPart};
///
/// let tokens = FilterClause::greater("tokens", 100);
/// let filter = Filter::and().clause(tokens.clone()).nest(Filter::or())?;
/// assert_eq!(filter.clauses()[0], FilterPart::Clause(tokens));
/// assert_eq!(filter.clauses()[1], FilterPart::Filter(Filter::or()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FilterPart {
    /// A comparison.
    Clause(FilterClause),
    /// A filter within the filter.
    Filter(Filter),
}

impl Filter {
    /// A filter that holds if all its parts do. Without any, it holds for every event.
    ///
    /// ```
    /// use floe_client::Filter;
    ///
    /// let every_event = Filter::and();
    /// assert!(every_event.clauses().is_empty());
    /// ```
    #[must_use]
    pub fn and() -> Self {
        Self { conjunction: Conjunction::And, clauses: Vec::new() }
    }

    /// A filter that holds if one of its parts does. Without any, it holds for every event.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// # floe_client_doc::events(&client).await?;
    /// use floe_client::{EventsList, Filter, FilterClause};
    ///
    /// let either = Filter::or()
    ///     .clause(FilterClause::equal("name", "ai_usage"))
    ///     .clause(FilterClause::equal("name", "embedding"));
    /// assert_eq!(client.events().list(&EventsList::new().filter(&either)).await?.items.len(), 2);
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn or() -> Self {
        Self { conjunction: Conjunction::Or, clauses: Vec::new() }
    }

    /// With one more clause.
    ///
    /// ```
    /// use floe_client::{Filter, FilterClause};
    ///
    /// let filter = Filter::and()
    ///     .clause(FilterClause::equal("name", "ai_usage"))
    ///     .clause(FilterClause::greater("tokens", 100));
    /// assert_eq!(filter.clauses().len(), 2);
    /// ```
    #[must_use]
    pub fn clause(mut self, clause: FilterClause) -> Self {
        self.clauses.push(FilterPart::Clause(clause));
        self
    }

    /// With a filter within it.
    ///
    /// ```
    /// use floe_client::{Filter, FilterClause};
    ///
    /// let small = Filter::or().clause(FilterClause::less("tokens", 10));
    /// let filter = Filter::and().clause(FilterClause::equal("name", "ai_usage")).nest(small)?;
    /// # Ok::<(), floe_client::InvalidFilter>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidFilter::TooDeep`] beyond [`FILTER_LEVELS_MAX`] levels, which servers refuse.
    pub fn nest(mut self, filter: Self) -> Result<Self, InvalidFilter> {
        if filter.levels() >= FILTER_LEVELS_MAX {
            return Err(InvalidFilter::TooDeep);
        }
        self.clauses.push(FilterPart::Filter(filter));
        Ok(self)
    }

    /// How the parts are joined.
    ///
    /// ```
    /// use floe_client::{Conjunction, Filter};
    ///
    /// assert_eq!(Filter::and().conjunction(), Conjunction::And);
    /// ```
    #[must_use]
    pub fn conjunction(&self) -> Conjunction {
        self.conjunction
    }

    /// The parts, in order.
    ///
    /// ```
    /// use floe_client::{Filter, FilterClause, FilterPart};
    ///
    /// let clause = FilterClause::equal("name", "ai_usage");
    /// let filter = Filter::and().clause(clause.clone());
    /// assert_eq!(filter.clauses(), [FilterPart::Clause(clause)]);
    /// ```
    #[must_use]
    pub fn clauses(&self) -> &[FilterPart] {
        &self.clauses
    }

    /// How deep it is: 1 without filters within.
    fn levels(&self) -> usize {
        let nested = self.clauses.iter().map(|part| match part {
            FilterPart::Clause(_) => 0,
            FilterPart::Filter(filter) => filter.levels(),
        });
        1 + nested.max().unwrap_or_default()
    }
}

/// A filter cannot be, since every server would refuse it.
///
/// ```
/// use floe_client::{FilterClause, InvalidFilter, Operator};
///
/// let long = FilterClause::new("model", Operator::Equal, "a".repeat(1001));
/// assert_eq!(long, Err(InvalidFilter::LongValue));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// There are more filters within filters than [`FILTER_LEVELS_MAX`].
    #[error("filters are nested at most {FILTER_LEVELS_MAX} deep")]
    TooDeep,
    /// A truth value is neither less nor greater than anything, and no time.
    #[error("true and false can be equal or not, but neither less nor greater, and are no time")]
    BooleanOrder,
    /// A text is longer than [`CLAUSE_VALUE_CHARS_MAX`].
    #[error("a value has at most {CLAUSE_VALUE_CHARS_MAX} characters")]
    LongValue,
}
