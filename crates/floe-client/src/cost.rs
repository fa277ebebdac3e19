//! What an event cost.

use std::borrow::Cow;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Digits of an amount before its point, at most.
const WHOLE_DIGITS_MAX: usize = 5;
/// Digits of an amount after its point, at most.
const FRACTION_DIGITS_MAX: usize = 12;

/// What an event cost, for the key `_cost` of its metadata. A meter sums it as `_cost.amount`.
///
/// The amount is exact: a decimal number, kept as text. It is in whole units of the currency, for
/// `usd` in dollars, with at most 5 digits before the point and 12 after it, and may be negative.
///
/// ```
/// use floe_client::{Cost, EventCreate};
///
/// let event = EventCreate::for_external_customer("completion", "user-1")
///     .property("_cost", Cost::usd("0.0125")?);
/// assert!(Cost::usd("123456").is_err());
/// # Ok::<(), floe_client::InvalidCost>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Cost {
    amount: String,
    currency: String,
}

impl Cost {
    /// An amount of dollars, such as `12.5`.
    ///
    /// ```
    /// let cost = floe_client::Cost::usd("12.5")?;
    /// assert_eq!((cost.amount(), cost.currency()), ("12.5", "usd"));
    /// # Ok::<(), floe_client::InvalidCost>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidCost`] unless it is a decimal number within the bounds.
    pub fn usd(amount: impl Into<String>) -> Result<Self, InvalidCost> {
        let amount = amount.into();
        let unsigned = amount.strip_prefix(['-', '+']).unwrap_or(&amount);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let whole_digits = whole.trim_start_matches('0').len();
        let fraction_digits = fraction.trim_end_matches('0').len();
        let is_valid = are_digits(whole)
            && are_digits(fraction)
            && whole.len() + fraction.len() > 0
            && whole_digits <= WHOLE_DIGITS_MAX
            && fraction_digits <= FRACTION_DIGITS_MAX;
        if !is_valid {
            return Err(InvalidCost(()));
        }
        Ok(Self { amount, currency: "usd".to_owned() })
    }

    /// The amount, in whole units of the currency, as a decimal number.
    ///
    /// ```
    /// let cost = floe_client::Cost::usd("0.0125")?;
    /// assert_eq!(cost.amount(), "0.0125");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn amount(&self) -> &str {
        &self.amount
    }

    /// The currency; `usd` is the only one that servers take.
    ///
    /// ```
    /// let cost = floe_client::Cost::usd("0.0125")?;
    /// assert_eq!(cost.currency(), "usd");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }
}

impl<'de> Deserialize<'de> for Cost {
    /// The wire writes the amount as text, and takes a number as well.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            amount: Box<RawValue>,
            currency: String,
        }

        let Wire { amount, currency } = Wire::deserialize(deserializer)?;
        let amount = match amount.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str::<Cow<'_, str>>(amount.get())
                .map_err(de::Error::custom)?
                .into_owned(),
            Some(b'-' | b'0'..=b'9') => amount.get().to_owned(),
            _ => return Err(de::Error::custom("an amount is a number or a text")),
        };
        Ok(Self { amount, currency })
    }
}

/// An amount is no decimal number, or has more than 5 digits before the point or 12 after it.
///
/// ```
/// let error = floe_client::Cost::usd("1e3").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "an amount is a decimal number with at most 5 digits before the point and 12 after it"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an amount is a decimal number with at most {WHOLE_DIGITS_MAX} digits before the point and \
     {FRACTION_DIGITS_MAX} after it"
)]
pub struct InvalidCost(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_checked() {
        for amount in ["0", "1.5", "-12345.123456789012", "+.5", "5.", "0000001.50000000000000"] {
            assert!(Cost::usd(amount).is_ok(), "{amount}");
        }
        for amount in ["", ".", "-", "123456", "0.1234567890123", "1,5", "abc", "1.2.3", "１"] {
            assert!(Cost::usd(amount).is_err(), "{amount}");
        }
    }

    #[test]
    fn an_amount_keeps_its_digits() {
        let read = |text: &str| serde_json::from_str::<Cost>(text).unwrap();
        assert_eq!(read(r#"{"amount":"1.50","currency":"usd"}"#).amount(), "1.50");
        assert_eq!(read(r#"{"amount":0.10,"currency":"usd","x":1}"#).amount(), "0.10");
        assert!(serde_json::from_str::<Cost>(r#"{"amount":true,"currency":"usd"}"#).is_err());
    }
}
