//! Numbers: their order by value whatever their types, and decimals.

use super::value::Value;
use std::cmp::Ordering;

/// `digits` / 10^`scale`, AMQP's decimal. Trailing zeros are gone: 1.50 is 1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: u32,
    scale: u8,
}

impl Decimal {
    /// `digits` / 10^`scale`.
    #[must_use]
    pub fn new(mut digits: u32, mut scale: u8) -> Self {
        if digits == 0 {
            scale = 0;
        }
        while scale > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            scale -= 1;
        }
        Self { digits, scale }
    }

    /// Reads `12`, `12.5` or `0.125`. `None` if it is anything else or does not fit into AMQP's 32 bits of digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let decimal = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        if whole.is_empty() || (places.is_empty() && text.contains('.')) || !decimal(whole) || !decimal(places) {
            return None;
        }
        let digits = format!("{whole}{places}").parse().ok()?;
        Some(Self::new(digits, places.len().try_into().ok()?))
    }

    pub(crate) fn parts(self) -> (u32, u8) {
        (self.digits, self.scale)
    }

    /// The nearest float, or one beside it.
    pub(crate) fn to_f64(self) -> f64 {
        f64::from(self.digits) / 10f64.powi(self.scale.into())
    }

    /// As `digits` over a power of ten that fits, or `None` if it is between 0 and 1 and the power does not fit: digits have 10 places at most.
    fn fraction(self) -> Option<(i128, i128)> {
        const SCALE_MAX: u8 = 28;
        (self.scale <= SCALE_MAX).then(|| (self.digits.into(), 10i128.pow(self.scale.into())))
    }
}

/// The order of two numbers; `None` if one is none, or NaN.
pub(crate) fn compare(a: Value<'_>, b: Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(&b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(&b),
        (Value::Integer(a), Value::Float(b)) => integer_and_float(a, b),
        (Value::Float(a), Value::Integer(b)) => integer_and_float(b, a).map(Ordering::reverse),
        (Value::Decimal(a), Value::Decimal(b)) => Some(decimals(a, b)),
        (Value::Integer(a), Value::Decimal(b)) => Some(integer_and_decimal(a, b)),
        (Value::Decimal(a), Value::Integer(b)) => Some(integer_and_decimal(b, a).reverse()),
        (Value::Float(a), Value::Decimal(b)) => a.partial_cmp(&b.to_f64()),
        (Value::Decimal(a), Value::Float(b)) => a.to_f64().partial_cmp(&b),
        _ => None,
    }
}

/// Exact: no integer is rounded on the way.
fn integer_and_float(a: i128, b: f64) -> Option<Ordering> {
    /// 2^127, the first float above all integers.
    const ABOVE: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if b.is_nan() {
        return None;
    }
    if b >= ABOVE {
        return Some(Ordering::Less);
    }
    if b < -ABOVE {
        return Some(Ordering::Greater);
    }
    let whole = b.trunc();
    let by_whole = a.cmp(&(whole as i128));
    Some(by_whole.then(whole.partial_cmp(&b)?))
}

fn integer_and_decimal(a: i128, b: Decimal) -> Ordering {
    match b.fraction() {
        // Between 0 and 1.
        None => {
            if a <= 0 {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        Some((digits, power)) => {
            let (whole, rest) = (digits / power, digits % power);
            a.cmp(&whole).then(0.cmp(&rest))
        }
    }
}

fn decimals(a: Decimal, b: Decimal) -> Ordering {
    if a.scale < b.scale {
        return decimals(b, a).reverse();
    }
    // a has the more places: bring b to as many.
    let places = u32::from(a.scale - b.scale);
    match 10i128.checked_pow(places).and_then(|power| power.checked_mul(b.digits.into())) {
        Some(digits) => i128::from(a.digits).cmp(&digits),
        None if b.digits == 0 => a.digits.cmp(&0),
        // More than all digits of a.
        None => Ordering::Less,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    fn decimal(text: &str) -> Value<'static> {
        Value::Decimal(Decimal::parse(text).expect(text))
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let cases = [
            (Value::Integer(1), Value::Float(1.0), Some(Equal)),
            (Value::Integer(5), Value::Float(5.5), Some(Less)),
            (Value::Integer(-5), Value::Float(-5.5), Some(Greater)),
            (
                Value::Integer(9_007_199_254_740_993),
                Value::Float(9_007_199_254_740_992.0),
                Some(Greater),
            ),
            (Value::Integer(i128::MAX), Value::Float(f64::INFINITY), Some(Less)),
            (Value::Integer(i128::MIN), Value::Float(f64::NEG_INFINITY), Some(Greater)),
            (
                Value::Integer(i128::MIN),
                Value::Float(-170_141_183_460_469_231_731_687_303_715_884_105_728.0),
                Some(Equal),
            ),
            (Value::Integer(1), Value::Float(f64::NAN), None),
            (Value::Float(f64::NAN), Value::Float(f64::NAN), None),
            (Value::Float(0.0), Value::Float(-0.0), Some(Equal)),
            (decimal("1.50"), decimal("1.5"), Some(Equal)),
            (decimal("1.5"), decimal("2"), Some(Less)),
            (decimal("0.001"), decimal("0"), Some(Greater)),
            (decimal("1.5"), Value::Integer(1), Some(Greater)),
            (decimal("2"), Value::Integer(2), Some(Equal)),
            (decimal("0.5"), Value::Integer(0), Some(Greater)),
            (decimal("0.5"), Value::Float(0.5), Some(Equal)),
            (Value::Decimal(Decimal::new(1, 255)), Value::Integer(0), Some(Greater)),
            (Value::Decimal(Decimal::new(1, 255)), Value::Integer(1), Some(Less)),
            (Value::Decimal(Decimal::new(1, 255)), decimal("1"), Some(Less)),
            (Value::Decimal(Decimal::new(1, 255)), decimal("0"), Some(Greater)),
            (Value::Integer(1), Value::Text("1"), None),
        ];
        for (a, b, order) in cases {
            assert_eq!(compare(a, b), order, "{a:?} {b:?}");
            assert_eq!(compare(b, a), order.map(Ordering::reverse), "{b:?} {a:?}");
        }
    }

    #[test]
    fn decimals_are_read_from_text() {
        assert_eq!(Decimal::parse("12.50"), Some(Decimal::new(125, 1)));
        for text in ["", ".", "1.", ".5", "-1", "1e5", "4294967296", "1.x", "+1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
