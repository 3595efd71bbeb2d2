//! Regular expressions as Go reads them, for an engine that reads some of them otherwise.
//!
//! Go takes `[` in a class and a `{` that begins no count for themselves, knows
//! `\Q…\E`, and means ASCII by `\d`, `\s` and `\w`. The `regex` crate nests classes, has
//! `&&`, `--` and `~~` in them, refuses a lone `{` and means all of Unicode.

use regex::Regex;

/// A pattern of a schema.
///
/// # Errors
/// What neither language has.
pub(super) fn read(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&translate(pattern))
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern;
    let mut class = false;
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        let used = match next {
            '\\' if after.starts_with('Q') && !class => {
                let quoted = &after[1..];
                let (text, used) = match quoted.find("\\E") {
                    Some(end) => (&quoted[..end], 2 + end + 2),
                    None => (quoted, rest.len()),
                };
                out.push_str(&regex::escape(text));
                used
            }
            '\\' => escape(after, class, &mut out),
            '[' if !class => {
                class = true;
                out.push('[');
                let negated = after.starts_with('^');
                let first = if negated { &after[1..] } else { after };
                if negated {
                    out.push('^');
                }
                // In the first place the end is a character like others.
                if first.starts_with(']') {
                    out.push_str("\\]");
                }
                1 + usize::from(negated) + usize::from(first.starts_with(']'))
            }
            '[' => match named(rest) {
                Some(name) => {
                    out.push_str(name);
                    name.len()
                }
                None => {
                    out.push_str("\\[");
                    1
                }
            },
            ']' if class => {
                class = false;
                out.push(']');
                1
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(next);
                1
            }
            // A range may begin or end with one.
            '-' if class && after.starts_with('-') => {
                out.push_str("\\-");
                1
            }
            '{' if !class && !counts(after) => {
                out.push_str("\\{");
                1
            }
            _ => {
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[used..];
    }
    out
}

/// What stands behind a backslash; gives the length of both.
fn escape(after: &str, class: bool, out: &mut String) -> usize {
    let Some(next) = after.chars().next() else {
        out.push('\\');
        return 1;
    };
    let ascii = match next {
        'd' => "0-9",
        's' => "\\t\\n\\x0C\\r ",
        'w' => "0-9A-Za-z_",
        _ => "",
    };
    match (next, class) {
        ('d' | 's' | 'w', true) => out.push_str(ascii),
        ('d' | 's' | 'w', false) => *out += &format!("[{ascii}]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('S', _) => out.push_str("[^\\t\\n\\x0C\\r ]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('b', _) => out.push_str("(?-u:\\b)"),
        // A property or a code, whose name may stand in braces.
        ('p' | 'P' | 'x', _) if after[1..].starts_with('{') => {
            let name = after.find('}').map_or(after, |end| &after[..=end]);
            out.push('\\');
            out.push_str(name);
            return 1 + name.len();
        }
        _ => {
            out.push('\\');
            out.push(next);
        }
    }
    1 + next.len_utf8()
}

/// A class of POSIX, like `[:alpha:]`, at the beginning of a text.
fn named(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("[:")?;
    let end = inner.find(":]")?;
    inner[..end].bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'^').then_some(())?;
    Some(&text[..end + 4])
}

/// Whether a count ends here: `3}`, `3,}` or `3,5}`.
fn counts(text: &str) -> bool {
    let Some((count, _)) = text.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    !least.is_empty() && [least, most].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_in_go() {
        for (pattern, fits, unfit) in [
            (r#"^[^()<>@,;:\\\"\/[\]?={} \t\x7f\x00]+$"#, "a-token", "a[b"),
            (r"^[[:alpha:]&&[~~--]+$", "a&[~-", "9"),
            (r"^[]a]$", "]", "b"),
            (r"^[^]a]$", "b", "]"),
            (r"^\$\{\w+\}${", "", "${a}"),
            (r"^a{2,3}$", "aaa", "a"),
            (r"^{a}$", "{a}", "a"),
            (r"^a{,2}$", "a{,2}", "aa"),
            (r"^\Q[a].\E$", "[a].", "a"),
            (r"^\d\s\w$", "1 a", "\u{663} a"),
            (r"^[\d\s]\D$", "1a", "\u{663}a"),
            (r"^\W$", "\u{e4}", "a"),
            (r"^\p{L}+\x{e4}$", "a\u{e4}", "1"),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", "-a"),
            (r"^[\w.-]+@[--/]$", "a.b@.", "a@0"),
            (r"^(?i)ok\b", "OK!", "okay"),
        ] {
            let read = read(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(fits.is_empty() || read.is_match(fits), "{pattern} and {fits}: {read}");
            assert!(!read.is_match(unfit), "{pattern} and {unfit}: {read}");
        }
        for pattern in ["(", "[a", "a\\", "*", "(?=a)"] {
            assert!(read(pattern).is_err(), "{pattern}");
        }
    }
}
