//! Where customers are billed.

use serde::{Deserialize, Serialize};

/// Where a customer is billed.
///
/// ```
/// use floe_client::Address;
///
/// let address = Address::new("DE").line1("Hauptstrasse 1").postal_code("10115").city("Berlin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Address {
    /// The first line.
    pub line1: Option<String>,
    /// The second line.
    pub line2: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The city.
    pub city: Option<String>,
    /// The state; in the US and Canada as ISO 3166-2 writes it, such as `US-CA`.
    pub state: Option<String>,
    /// The country, in two letters as ISO 3166-1 writes it.
    pub country: String,
}

impl Address {
    /// An address in a country, in two letters as ISO 3166-1 writes it.
    ///
    /// ```
    /// let address = floe_client::Address::new("DE");
    /// assert_eq!(address.country, "DE");
    /// ```
    #[must_use]
    pub fn new(country: impl Into<String>) -> Self {
        Self {
            line1: None,
            line2: None,
            postal_code: None,
            city: None,
            state: None,
            country: country.into(),
        }
    }

    /// The first line.
    ///
    /// ```
    /// let address = floe_client::Address::new("DE").line1("Hauptstrasse 1");
    /// assert_eq!(address.line1.as_deref(), Some("Hauptstrasse 1"));
    /// ```
    #[must_use]
    pub fn line1(mut self, line: impl Into<String>) -> Self {
        self.line1 = Some(line.into());
        self
    }

    /// The second line.
    ///
    /// ```
    /// let address = floe_client::Address::new("DE").line1("Hauptstrasse 1").line2("Hinterhaus");
    /// assert_eq!(address.line2.as_deref(), Some("Hinterhaus"));
    /// ```
    #[must_use]
    pub fn line2(mut self, line: impl Into<String>) -> Self {
        self.line2 = Some(line.into());
        self
    }

    /// The postal code.
    ///
    /// ```
    /// let address = floe_client::Address::new("DE").postal_code("10115");
    /// assert_eq!(address.postal_code.as_deref(), Some("10115"));
    /// ```
    #[must_use]
    pub fn postal_code(mut self, code: impl Into<String>) -> Self {
        self.postal_code = Some(code.into());
        self
    }

    /// The city.
    ///
    /// ```
    /// let address = floe_client::Address::new("DE").city("Berlin");
    /// assert_eq!(address.city.as_deref(), Some("Berlin"));
    /// ```
    #[must_use]
    pub fn city(mut self, city: impl Into<String>) -> Self {
        self.city = Some(city.into());
        self
    }

    /// The state; in the US and Canada `CA` or `US-CA`.
    ///
    /// ```
    /// # floe_client_doc::run(async |client| {
    /// use floe_client::{Address, CustomerCreate};
    ///
    /// let ada = CustomerCreate::new("ada@example.com")
    ///     .billing_address(Address::new("US").state("CA"));
    /// let ada = client.customers().create(&ada).await?;
    /// let address = ada.billing_address.expect("the one that was given");
    /// assert_eq!(address.state.as_deref(), Some("US-CA"));
    /// # Ok(())
    /// # });
    /// ```
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }
}
