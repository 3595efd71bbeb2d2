//! The text of field selectors: `spec.nodeName=node-1,status.phase!=Succeeded`. In a value a
//! backslash stands before a comma, an equals sign and itself.

/// A field, whether it shall equal the value, and the value.
pub(super) type Term<'t> = (&'t str, bool, String);

/// Reads the terms.
///
/// # Errors
/// What is no term, or a value that isn't written as one.
pub(super) fn read(text: &str) -> Result<Vec<Term<'_>>, String> {
    split(text).into_iter().filter(|term| !term.is_empty()).map(|term| one(text, term)).collect()
}

/// The parts between commas.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut rest = text.char_indices();
    while let Some((place, character)) = rest.next() {
        match character {
            '\\' => {
                rest.next();
            }
            ',' => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn one<'t>(text: &str, term: &'t str) -> Result<Term<'t>, String> {
    let mut places = term.char_indices();
    while let Some((place, character)) = places.next() {
        if character == '\\' {
            places.next();
            continue;
        }
        let operators = [("!=", false), ("==", true), ("=", true)];
        let found = operators.iter().find(|(operator, _)| term[place..].starts_with(operator));
        if let Some((operator, equal)) = found {
            let value = unescape(&term[place + operator.len()..])?;
            return Ok((&term[..place], *equal, value));
        }
    }
    Err(format!("invalid selector: '{text}'; can't understand '{term}'"))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    let text = "invalid field selector: invalid escape sequence: ";
                    return Err(format!("{text}\\{other}"));
                }
            },
            ',' | '=' => {
                let code = u32::from(character);
                return Err(format!(
                    "invalid field selector: unescaped character in value: {code}"
                ));
            }
            plain => value.push(plain),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each answer is that of the machinery's own reader.
    #[test]
    fn field_selectors_are_read_as_they_are_written() {
        let term = |field, equal, value: &str| (field, equal, value.to_owned());
        let cases = [
            ("", Ok(vec![])),
            ("a=b,,c!=d", Ok(vec![term("a", true, "b"), term("c", false, "d")])),
            ("a==b c", Ok(vec![term("a", true, "b c")])),
            (" a=b", Ok(vec![term(" a", true, "b")])),
            (r"a=b\,c\=d\\", Ok(vec![term("a", true, r"b,c=d\")])),
            (" ,", Err("invalid selector: ' ,'; can't understand ' '")),
            (" x ", Err("invalid selector: ' x '; can't understand ' x '")),
            ("a=b=", Err("invalid field selector: unescaped character in value: 61")),
            (r"a=\x", Err(r"invalid field selector: invalid escape sequence: \x")),
        ];
        for (text, wanted) in cases {
            assert_eq!(read(text), wanted.map_err(str::to_owned), "{text:?}");
        }
    }
}
