//! Quantities in the one form in which Kubernetes writes each: `0.5` is `500m`.

/// The suffixes of powers of 1000, from 10⁻⁹ on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// The suffixes of powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// The canonical form of a quantity; `None` for what is none.
pub fn canonical(text: &str) -> Option<String> {
    let (nano, form) = parse(text)?;
    Some(write(nano, form))
}

/// The quantity in billionths, rounded up as Kubernetes rounds, and the form it is in.
fn parse(text: &str) -> Option<(i128, Form)> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.len() > 30 {
        return None;
    }
    let mantissa: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let places = i32::try_from(fraction.len()).ok()?;
    let (exponent, factor, form) = if let Some(place) =
        BINARY.iter().position(|known| *known == suffix).filter(|place| *place > 0)
    {
        (0, 1_i128 << (10 * place), Form::Binary)
    } else if let Some(place) = DECIMAL.iter().position(|known| *known == suffix) {
        (i32::try_from(place).ok()? * 3 - 9, 1, Form::Decimal)
    } else {
        let power = suffix.strip_prefix(['e', 'E'])?;
        (power.parse::<i32>().ok().filter(|power| power.abs() <= 30)?, 1, Form::Exponent)
    };
    let scaled = mantissa.checked_mul(factor)?;
    let power = exponent + 9 - places;
    let unit = 10_i128.checked_pow(power.unsigned_abs())?;
    let nano = if power >= 0 {
        scaled.checked_mul(unit)?
    } else {
        scaled / unit + i128::from(scaled % unit != 0)
    };
    Some((if negative { -nano } else { nano }, form))
}

fn write(nano: i128, form: Form) -> String {
    const ONE: i128 = 1_000_000_000;
    if nano == 0 {
        return "0".to_owned();
    }
    if form == Form::Binary && nano % ONE == 0 && nano.abs() >= 1024 * ONE {
        let (mut value, mut place) = (nano / ONE, 0);
        while value % 1024 == 0 && place + 1 < BINARY.len() {
            value /= 1024;
            place += 1;
        }
        return format!("{value}{}", BINARY[place]);
    }
    let (mut value, mut place) = (nano, 0);
    while value % 1000 == 0 && place + 1 < DECIMAL.len() {
        value /= 1000;
        place += 1;
    }
    if form == Form::Exponent && place != 3 {
        let exponent = 3 * i32::try_from(place).unwrap_or_default() - 9;
        return format!("{value}e{exponent}");
    }
    format!("{value}{}", DECIMAL[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_one_form() {
        for (given, expected) in [
            ("0.5", Some("500m")),
            ("1000m", Some("1")),
            ("1", Some("1")),
            ("1024Mi", Some("1Gi")),
            ("0.5Gi", Some("512Mi")),
            ("100Ki", Some("100Ki")),
            ("1500M", Some("1500M")),
            ("2000M", Some("2G")),
            ("1e3", Some("1e3")),
            ("12E6", Some("12e6")),
            ("0", Some("0")),
            ("-5", Some("-5")),
            ("1.5", Some("1500m")),
            ("1000", Some("1k")),
            ("0.0000000001", Some("1n")),
            ("", None),
            ("1x", None),
            ("one", None),
            ("1.2.3", None),
            ("e", None),
        ] {
            assert_eq!(canonical(given).as_deref(), expected, "{given}");
        }
    }
}
