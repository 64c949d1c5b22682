//! Numbers of twice f64's digits, as an unevaluated sum: just what the oracle needs.

use std::ops::{Add, Mul};

/// `high + low`, with `high` the sum rounded to f64.
#[derive(Clone, Copy, Debug)]
pub struct DoubleDouble {
    pub high: f64,
    pub low: f64,
}

impl DoubleDouble {
    pub const ZERO: Self = Self {
        high: 0.0,
        low: 0.0,
    };

    /// The product of two f64, exactly.
    pub fn product(x: f64, y: f64) -> Self {
        let high = x * y;
        Self {
            high,
            low: x.mul_add(y, -high),
        }
    }

    /// e^self, to two roundings of f64.
    pub fn exp(self) -> f64 {
        let exponential = self.high.exp();
        exponential.mul_add(self.low, exponential)
    }

    fn renormalised(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self {
            high: sum,
            low: low - (sum - high),
        }
    }
}

impl From<f64> for DoubleDouble {
    fn from(x: f64) -> Self {
        Self { high: x, low: 0.0 }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let sum = self.high + other.high;
        let of_other = sum - self.high;
        let error = (self.high - (sum - of_other)) + (other.high - of_other);
        Self::renormalised(sum, error + self.low + other.low)
    }
}

impl Mul<f64> for DoubleDouble {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        let product = Self::product(self.high, factor);
        Self::renormalised(product.high, self.low.mul_add(factor, product.low))
    }
}

#[test]
fn keeps_the_digits_that_f64_drops() {
    let third = 1.0 / 3.0;
    let sum = DoubleDouble::product(third, 3.0) + DoubleDouble::from(-1.0);
    assert_eq!(sum.high, third.mul_add(3.0, -1.0));
    let large = DoubleDouble::from(1e17) + DoubleDouble::from(1.0);
    assert_eq!((large + DoubleDouble::from(-1e17)).high, 1.0);
    assert_eq!(
        (DoubleDouble::product(1e9 + 1.0, 1e9 - 1.0) * 0.5).low,
        -0.5
    );
}
