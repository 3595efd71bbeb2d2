//! What happens to files: bytes flip, lines vanish, keys are misspelt, tools convert them.

use rand::{Rng, RngExt, rngs::StdRng, seq::IndexedRandom};

/// Texts that people and tools put where something else belongs.
const VALUES: [&str; 28] = [
    "null",
    "~",
    "yes",
    "no",
    "true",
    "0",
    "-1",
    "99999999999999999999",
    "1e309",
    ".nan",
    "0x1F",
    "0o17",
    "22:22",
    "2001-01-01",
    "''",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "{a: {b: c}}",
    "*nobody",
    "&anchor x",
    "!!binary aGk=",
    "!tag x",
    "|",
    "${namespace:none}",
    "日本",
    "\u{1f600}\u{202e}",
];

/// One to three kinds of damage, done to a suite.
pub fn done_to(text: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..random.random_range(1..=3) {
        bytes = once(bytes, random);
    }
    bytes
}

fn once(bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..16) {
        0 => flip(bytes, random),
        1 => cut(bytes, random),
        2 => insert(bytes, random),
        3 => [b"\xef\xbb\xbf".as_slice(), &bytes].concat(),
        4 => text(&bytes).replace('\n', "\r\n").into_bytes(),
        5 => nested(bytes, random),
        6 => huge(bytes, random),
        kind => lines(&bytes, kind, random).into_bytes(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn flip(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    for _ in 0..random.random_range(1..6) {
        if bytes.is_empty() {
            break;
        }
        let place = random.random_range(0..bytes.len());
        bytes[place] ^= 1 << random.random_range(0..8);
    }
    bytes
}

fn cut(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    if bytes.is_empty() {
        return bytes;
    }
    let from = random.random_range(0..bytes.len());
    let to = (from + random.random_range(0..200)).min(bytes.len());
    if random.random_bool(0.3) {
        bytes.truncate(from);
    } else {
        bytes.drain(from..to);
    }
    bytes
}

fn insert(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    let place = random.random_range(0..=bytes.len());
    let mut junk = vec![0; random.random_range(1..12)];
    random.fill_bytes(&mut junk);
    bytes.splice(place..place, junk);
    bytes
}

/// Brackets, blocks or references without end.
fn nested(mut bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    let depth = random.random_range(1..3_000);
    let more = match random.random_range(0..4) {
        0 => format!("deep: {}{}\n", "[".repeat(depth), "]".repeat(depth)),
        1 => format!("deep: {}\n", "{a: ".repeat(depth)),
        2 => (0..depth.min(400)).map(|level| format!("{}a:\n", " ".repeat(level))).collect(),
        // Each line doubles what the one before means.
        _ => {
            let first = "l0: &l0 [x, x]\n".to_owned();
            let next = |level: usize| {
                let before = level - 1;
                format!("l{level}: &l{level} [*l{before}, *l{before}]\n")
            };
            (1..40).map(next).fold(first, |all, line| all + &line)
        }
    };
    bytes.extend_from_slice(more.as_bytes());
    bytes
}

/// A long line, a long list, a long number.
fn huge(bytes: Vec<u8>, random: &mut StdRng) -> Vec<u8> {
    let many = random.random_range(1_000..20_000);
    let more = match random.random_range(0..3) {
        0 => format!("\n# {}\n", "x".repeat(many)),
        1 => format!("\nlist: [{}]\n", "1, ".repeat(many)),
        _ => format!("\nnumber: {}\n", "9".repeat(many)),
    };
    [bytes, more.into_bytes()].concat()
}

/// Damage by the line: gone, twice, elsewhere, indented, misspelt, of another type.
fn lines(bytes: &[u8], kind: u32, random: &mut StdRng) -> String {
    let whole = text(bytes);
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return whole;
    }
    let place = random.random_range(0..lines.len());
    let line = lines[place].clone();
    match kind {
        7 => drop(lines.remove(place)),
        8 => lines.insert(place, line),
        9 => {
            let other = random.random_range(0..lines.len());
            lines.swap(place, other);
        }
        10 => {
            lines[place] =
                format!("{}{line}", ["\t", " ", "  ", "\u{a0}"].choose(random).unwrap_or(&" "))
        }
        11 => lines[place] = line.trim_start().to_owned(),
        12 | 13 => {
            if let Some((key, _)) = line.split_once(':') {
                let value = VALUES.choose(random).unwrap_or(&"");
                lines[place] = format!("{key}: {value}");
            }
        }
        14 => {
            // A letter of a key that is too many.
            let letters: Vec<usize> = line.char_indices().map(|(place, _)| place).collect();
            if let Some(&at) = letters.choose(random) {
                lines[place].insert(at, ['s', 'E', '-', '"', 'é'][random.random_range(0..5)]);
            }
        }
        _ => {
            let value = VALUES.choose(random).unwrap_or(&"");
            let words: Vec<&str> = line.split(' ').collect();
            let at = random.random_range(0..words.len());
            let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            words[at] = (*value).to_owned();
            lines[place] = words.join(" ");
        }
    }
    lines.join("\n") + "\n"
}
