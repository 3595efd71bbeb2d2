//! Label selectors in the text form of requests: `app=web,tier in (a, b),!legacy`, with the
//! API server's words for what can't be read.

use std::iter::Peekable;

use super::{Operator, Requirement, SelectorError};
use crate::sandbox::api::names;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Sign(&'t str),
    End,
}

impl<'t> Token<'t> {
    fn text(self) -> &'t str {
        match self {
            Self::Word(text) | Self::Sign(text) => text,
            Self::End => "",
        }
    }
}

const SIGNS: [&str; 9] = ["!=", "==", "=", "!", "(", ")", ",", ">", "<"];
const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
        let end = match sign {
            Some(sign) => sign.len(),
            None => rest
                .find(|letter: char| letter.is_whitespace() || "=!(),><".contains(letter))
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(if sign.is_some() { Token::Sign(token) } else { Token::Word(token) });
        rest = after.trim_start();
    }
    tokens
}

/// Reads a selector.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let tokens = tokens(text);
    let mut reader = Reader(tokens.into_iter().peekable());
    let mut requirements = Vec::new();
    loop {
        match reader.peek() {
            Token::End if requirements.is_empty() => return Ok(requirements),
            Token::Word(_) | Token::Sign("!") => {}
            other => {
                let found = other.text();
                return Err(SelectorError(format!(
                    "found '{found}', expected: !, identifier, or 'end of string'"
                )));
            }
        }
        let one = reader.requirement();
        requirements.push(
            one.map_err(|text| SelectorError(format!("unable to parse requirement: {text}")))?,
        );
        match reader.next() {
            Token::End => return Ok(requirements),
            Token::Sign(",") => {
                let next = reader.peek();
                if !matches!(next, Token::Word(_) | Token::Sign("!")) {
                    let found = next.text();
                    return Err(SelectorError(format!(
                        "found '{found}', expected: identifier after ','"
                    )));
                }
            }
            other => {
                let found = other.text();
                return Err(SelectorError(format!(
                    "found '{found}', expected: ',' or 'end of string'"
                )));
            }
        }
    }
}

struct Reader<'t, I: Iterator<Item = Token<'t>>>(Peekable<I>);

impl<'t, I: Iterator<Item = Token<'t>>> Reader<'t, I> {
    fn peek(&mut self) -> Token<'t> {
        self.0.peek().copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'t> {
        self.0.next().unwrap_or(Token::End)
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == Token::Sign("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        let errors = names::label_key_errors(key);
        if !errors.is_empty() {
            let errors = errors.join("; ");
            return Err(format!("<nil>: Invalid value: {key:?}: {errors}"));
        }
        if absent {
            return Ok(Requirement::new(key, Operator::DoesNotExist, []));
        }
        if matches!(self.peek(), Token::End | Token::Sign(",")) {
            return Ok(Requirement::new(key, Operator::Exists, []));
        }
        let operator = match self.next() {
            Token::Word("in") => Operator::In,
            Token::Word("notin") => Operator::NotIn,
            Token::Sign("=" | "==") => return self.single(key, Operator::In),
            Token::Sign("!=") => return self.single(key, Operator::NotIn),
            Token::Sign(">") => return self.single(key, Operator::Gt),
            Token::Sign("<") => return self.single(key, Operator::Lt),
            other => return Err(format!("found '{}', expected: {OPERATORS}", other.text())),
        };
        let values = self.values()?;
        check(key, operator, &values)?;
        Ok(Requirement::new(key, operator, values))
    }

    fn single(&mut self, key: &str, operator: Operator) -> Result<Requirement, String> {
        let value = match self.peek() {
            Token::End | Token::Sign(",") => String::new(),
            Token::Word(word) => {
                self.next();
                word.to_owned()
            }
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        let values = vec![value];
        check(key, operator, &values)?;
        Ok(Requirement::new(key, operator, values))
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Sign("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word.to_owned());
                    match self.next() {
                        Token::Sign(",") => {}
                        Token::Sign(")") => return Ok(values),
                        other => {
                            return Err(format!("found '{}', expected: ',' or ')'", other.text()));
                        }
                    }
                }
                // Nothing between two commas is the empty value.
                Token::Sign(",") => values.push(String::new()),
                Token::Sign(")") => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => {
                    return Err(format!("found '{}', expected: ',', or identifier", other.text()));
                }
            }
        }
    }
}

fn check(key: &str, operator: Operator, values: &[String]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (index, value) in values.iter().enumerate() {
        if matches!(operator, Operator::Gt | Operator::Lt) && value.parse::<i64>().is_err() {
            wrong.push(format!(
                "values[{index}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value \
                 must be an integer"
            ));
        }
    }
    for (index, value) in values.iter().enumerate() {
        let errors = names::label_value_errors(value);
        if !errors.is_empty() {
            let errors = errors.join("; ");
            wrong.push(format!("values[{index}][{key}]: Invalid value: {value:?}: {errors}"));
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_label_selector_is_refused_in_its_words() {
        let key = "name part must consist of alphanumeric characters";
        let value = "a valid label must be an empty string or consist of alphanumeric characters";
        for (text, expected) in [
            ("(", "found '(', expected: !, identifier, or 'end of string'"),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,,b", "found ',', expected: identifier after ','"),
            (
                "n>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' \
                 operators, the value must be an integer",
            ),
            (
                "n>x/y",
                "[values[0]: Invalid value: \"x/y\": for 'Gt', 'Lt' operators, the value must be an \
                 integer, values[0][n]: Invalid value: \"x/y\": a valid label must be",
            ),
            ("-a", key),
            ("a=-b", value),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
