//! Consumed and credited units of a customer and a meter (semantics section 12).

use crate::number::Exact;

/// One `meter.credited` event inside the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Units credited; negative to revoke.
    pub units: i64,
    /// Whether what is left of them survives a reset.
    pub rollover: bool,
}

/// Units of a customer meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CustomerMeterUnits {
    /// What the meter counts since the last reset. Finite.
    pub consumed: f64,
    /// What was credited since the last reset.
    pub credited: i64,
    /// Credited less consumed; may be negative. Finite.
    pub balance: f64,
}

impl CustomerMeterUnits {
    /// Units from the exact consumption and the credits of a window, in order of time.
    #[must_use]
    pub fn new(consumed: &Exact, credits: &[Credit]) -> Self {
        let credited = floored_sum(credits.iter().map(|credit| credit.units));
        Self {
            consumed: consumed.to_f64(),
            credited,
            balance: Exact::from(credited).minus(consumed).to_f64(),
        }
    }
}

/// The running sum of credits, floored at zero after each step: `[100, -150, 50]` is 50.
fn floored_sum(units: impl Iterator<Item = i64>) -> i64 {
    units.fold(0, |sum: i64, units| sum.saturating_add(units).max(0))
}

/// What a reset carries over into the next window: `max(0, min(trunc(N + R − consumed), R))` for
/// R credits that roll over and N that do not. 0 means that nothing is credited.
#[must_use]
pub fn carried_over(consumed: &Exact, credits: &[Credit]) -> i64 {
    let sum_of = |rollover: bool| {
        floored_sum(credits.iter().filter(|c| c.rollover == rollover).map(|c| c.units))
    };
    let (rolling, expiring) = (sum_of(true), sum_of(false));
    let mut credited = Exact::from(rolling);
    credited.add(&Exact::from(expiring));
    credited.minus(consumed).truncate().min(rolling).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(units: &[(i64, bool)]) -> Vec<Credit> {
        units.iter().map(|&(units, rollover)| Credit { units, rollover }).collect()
    }

    #[track_caller]
    fn carries(consumed: i64, of: &[(i64, bool)], expected: i64) {
        assert_eq!(carried_over(&Exact::from(consumed), &credits(of)), expected);
    }

    #[test]
    fn credits_never_fall_below_zero() {
        let of = credits(&[(100, false), (-150, false), (50, false)]);
        let units = CustomerMeterUnits::new(&Exact::from(70), &of);
        assert_eq!(units, CustomerMeterUnits { consumed: 70.0, credited: 50, balance: -20.0 });
    }

    #[test]
    fn only_unused_rolling_credits_survive_a_reset() {
        carries(0, &[(100, true)], 100);
        carries(30, &[(100, true)], 70);
        carries(30, &[(100, true), (50, false)], 100);
        carries(120, &[(100, true), (50, false)], 30);
        carries(200, &[(100, true)], 0);
        carries(0, &[(100, false)], 0);
    }
}
