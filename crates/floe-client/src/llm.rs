//! What a language model did.

use serde::{Deserialize, Serialize};

/// What a language model did, for the key `_llm` of an event's metadata. Meters reach its parts as
/// `_llm.total_tokens` and so on.
///
/// ```
/// # floe_client_doc::run(async |client| {
/// use floe_client::{
///     Aggregation, EventCreate, Filter, Interval, Llm, MeterCreate, Quantities, Timestamp,
/// };
///
/// let llm = Llm::new("acme", "acme-large", 120, 30).cached_input_tokens(100);
/// let event = EventCreate::for_external_customer("completion", "user-1").property("_llm", llm);
/// client.events().ingest(&[event]).await?;
///
/// let tokens = MeterCreate::new("Tokens", Filter::and(), Aggregation::sum("_llm.total_tokens"));
/// let tokens = client.meters().create(&tokens).await?;
/// let now = Timestamp::now();
/// let this_year = Quantities::new(now, now, Interval::Year);
/// assert_eq!(client.meters().quantities(tokens.id, &this_year).await?.total, 150.0);
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Llm {
    /// Who runs the model.
    pub vendor: String,
    /// The model.
    pub model: String,
    /// What it was asked, if that is to be kept.
    pub prompt: Option<String>,
    /// What it answered, if that is to be kept.
    pub response: Option<String>,
    /// Tokens that it read.
    pub input_tokens: i64,
    /// Tokens of these that it had read before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<i64>,
    /// Tokens that it wrote.
    pub output_tokens: i64,
    /// Tokens in all.
    pub total_tokens: i64,
}

impl Llm {
    /// A model that read and wrote so many tokens; in all, their sum.
    ///
    /// ```
    /// let llm = floe_client::Llm::new("acme", "acme-large", 120, 30);
    /// assert_eq!((llm.input_tokens, llm.output_tokens, llm.total_tokens), (120, 30, 150));
    /// ```
    #[must_use]
    pub fn new(
        vendor: impl Into<String>,
        model: impl Into<String>,
        input_tokens: i64,
        output_tokens: i64,
    ) -> Self {
        Self {
            vendor: vendor.into(),
            model: model.into(),
            prompt: None,
            response: None,
            input_tokens,
            cached_input_tokens: None,
            output_tokens,
            total_tokens: input_tokens.saturating_add(output_tokens),
        }
    }

    /// Keeps what it was asked.
    ///
    /// ```
    /// let llm = floe_client::Llm::new("acme", "acme-large", 120, 30).prompt("What is a floe?");
    /// assert_eq!(llm.prompt.as_deref(), Some("What is a floe?"));
    /// ```
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Keeps what it answered.
    ///
    /// ```
    /// let llm = floe_client::Llm::new("acme", "acme-large", 120, 30).response("Ice that floats.");
    /// assert_eq!(llm.response.as_deref(), Some("Ice that floats."));
    /// ```
    #[must_use]
    pub fn response(mut self, response: impl Into<String>) -> Self {
        self.response = Some(response.into());
        self
    }

    /// How many of the tokens read it had read before.
    ///
    /// ```
    /// let llm = floe_client::Llm::new("acme", "acme-large", 120, 30).cached_input_tokens(100);
    /// assert_eq!((llm.cached_input_tokens, llm.total_tokens), (Some(100), 150));
    /// ```
    #[must_use]
    pub fn cached_input_tokens(mut self, tokens: i64) -> Self {
        self.cached_input_tokens = Some(tokens);
        self
    }

    /// How many tokens in all, if not the sum of those read and written.
    ///
    /// ```
    /// // The model thought before it wrote.
    /// let llm = floe_client::Llm::new("acme", "acme-large", 120, 30).total_tokens(400);
    /// assert_eq!(llm.total_tokens, 400);
    /// ```
    #[must_use]
    pub fn total_tokens(mut self, tokens: i64) -> Self {
        self.total_tokens = tokens;
        self
    }
}
