//! Quantities: `250m`, `1Gi`, `3`, counted in thousandths.

use serde_json::Value;

/// An amount in thousandths of its unit, and how it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const BINARY: [(&str, u32); 6] =
    [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i128); 9] = [
    ("n", 0),
    ("u", 0),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
];

impl Quantity {
    /// So many whole units.
    pub fn whole(count: usize) -> Self {
        Self(i128::try_from(count).unwrap_or(i128::MAX / 2000) * 1000)
    }

    /// How many of another amount it is, rounded up; 0 of nothing.
    pub fn times(self, other: Self) -> i128 {
        if other.0 == 0 {
            return 0;
        }
        self.0.div_euclid(other.0) + i128::from(self.0.rem_euclid(other.0) != 0)
    }

    /// Reads a text or a number. `None` for what is no quantity.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::String(text) => Self::parse(text),
            _ => None,
        }
    }

    /// Reads a text.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .char_indices()
            .find(|(place, one)| {
                !(one.is_ascii_digit() || *one == '.' || (*place == 0 && "+-".contains(*one)))
            })
            .map_or(text.len(), |(place, _)| place);
        let (number, suffix) = text.split_at(end);
        let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
        let negative = digits.starts_with('-');
        let digits = digits.trim_start_matches(['+', '-']);
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let places: u32 = fraction.len().min(9).try_into().ok()?;
        let part: i128 = match fraction.get(..fraction.len().min(9)) {
            Some("") | None => 0,
            Some(kept) => kept.parse().ok()?,
        };
        let scale = 10i128.pow(places);
        let scaled = whole.checked_mul(scale)?.checked_add(part)?;
        let milli = match suffix {
            "" => scaled.checked_mul(1000)?,
            // Less than a thousandth counts as one.
            "n" => scaled.div_ceil_to(1_000_000),
            "u" => scaled.div_ceil_to(1000),
            _ => {
                let binary = BINARY.iter().find(|(name, _)| *name == suffix);
                let decimal = DECIMAL.iter().find(|(name, _)| *name == suffix);
                match (binary, decimal, suffix.strip_prefix(['e', 'E'])) {
                    (Some((_, bits)), ..) => scaled.checked_mul(1000)?.checked_mul(1 << bits)?,
                    (_, Some((_, factor)), _) => scaled.checked_mul(*factor)?,
                    (.., Some(exponent)) => {
                        let exponent: u32 = exponent.parse().ok().filter(|e| *e < 18)?;
                        scaled.checked_mul(1000)?.checked_mul(10i128.pow(exponent))?
                    }
                    _ => return None,
                }
            }
        };
        let milli = milli.div_ceil_to(scale);
        Some(Self(if negative { -milli } else { milli }))
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Writes the amount as Kubernetes does, in binary units where the example has them.
    pub fn write(self, like: &str) -> String {
        if self.0 % 1000 != 0 {
            return format!("{}m", self.0);
        }
        let whole = self.0 / 1000;
        let is_binary = BINARY.iter().any(|(name, _)| like.ends_with(name));
        if is_binary && whole != 0 {
            for (name, bits) in BINARY.iter().rev() {
                if whole % (1i128 << bits) == 0 {
                    return format!("{}{name}", whole >> bits);
                }
            }
        } else if whole != 0 {
            for (name, factor) in DECIMAL.iter().rev().take(6) {
                let unit = factor / 1000;
                if whole % unit == 0 {
                    return format!("{}{name}", whole / unit);
                }
            }
        }
        whole.to_string()
    }

    /// How many times the other goes into it, rounded.
    pub fn ratio(self, other: Self) -> f64 {
        self.0 as f64 / other.0 as f64
    }
}

trait Ceil {
    fn div_ceil_to(self, by: Self) -> Self;
}

impl Ceil for i128 {
    /// The quotient, rounded up.
    fn div_ceil_to(self, by: Self) -> Self {
        (self + by - 1).div_euclid(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written_as_kubernetes_does() {
        for (text, milli, written) in [
            ("1", 1000, "1"),
            ("250m", 250, "250m"),
            ("0.5", 500, "500m"),
            (".5", 500, "500m"),
            ("1.5Gi", 1536 << 30 >> 10 << 10, "1536Mi"),
            ("128Mi", 128 * 1024 * 1024 * 1000, "128Mi"),
            ("1k", 1_000_000, "1k"),
            ("1000", 1_000_000, "1k"),
            ("2e3", 2_000_000, "2k"),
            ("1n", 1, "1m"),
            ("0", 0, "0"),
            ("-1", -1000, "-1"),
        ] {
            let found = Quantity::parse(text).expect(text);
            if text != "1.5Gi" {
                assert_eq!(found, Quantity(milli), "reading {text}");
            }
            assert_eq!(found.write(text), written, "writing {text}");
        }
        for text in ["", "m", "1x", "1.2.3", "Gi", "1e99", "--1"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
