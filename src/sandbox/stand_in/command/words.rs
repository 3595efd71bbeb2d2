//! Options as these programs take them: `-sS`, `-m 3`, `-m3`, `--max-time 3`, `--max-time=3`.

use std::time::Duration;

use super::Unknown;

/// What a program's options are, by their short and long names.
pub(super) struct Options {
    pub program: &'static str,
    /// The exit code where one isn't known.
    pub usage: u8,
    /// With a value.
    pub valued: &'static [(&'static str, &'static str)],
    /// Without.
    pub flags: &'static [(&'static str, &'static str)],
}

/// Options by their long names (by their short ones where there is no long one), and the
/// other words.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub options: Vec<(&'static str, String)>,
    pub others: Vec<String>,
}

impl Words {
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(known, _)| *known == name)
    }

    /// The value that was given last.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).last()
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

fn name((short, long): (&'static str, &'static str)) -> &'static str {
    if long.is_empty() { short } else { long }
}

impl Options {
    /// Reads a command line.
    pub(super) fn read(&self, words: &[String]) -> Result<Words, Unknown> {
        let mut read = Words::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                read.others.extend(words.cloned());
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let (long, value) = match long.split_once('=') {
                    Some((long, value)) => (long, Some(value.to_owned())),
                    None => (long, None),
                };
                if let Some(&known) = self.valued.iter().find(|(_, known)| *known == long) {
                    let value = value.or_else(|| words.next().cloned());
                    let value = value.ok_or_else(|| self.misses(word))?;
                    read.options.push((name(known), value));
                } else if let Some(&known) = self.flags.iter().find(|(_, known)| *known == long) {
                    read.options.push((name(known), String::new()));
                } else {
                    return Err(self.unknown(word));
                }
                continue;
            }
            let Some(mut letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                read.others.push(word.clone());
                continue;
            };
            while let Some(letter) = letters.chars().next() {
                let (short, rest) = letters.split_at(letter.len_utf8());
                letters = rest;
                if let Some(&known) = self.valued.iter().find(|(known, _)| *known == short) {
                    let value = if rest.is_empty() {
                        words.next().cloned().ok_or_else(|| self.misses(word))?
                    } else {
                        rest.to_owned()
                    };
                    read.options.push((name(known), value));
                    break;
                }
                let known = self.flags.iter().find(|(known, _)| *known == short);
                let &known = known.ok_or_else(|| self.unknown(&format!("-{short}")))?;
                read.options.push((name(known), String::new()));
            }
        }
        Ok(read)
    }

    /// What a program says that doesn't do something.
    pub(super) fn cannot(&self, what: &str) -> Unknown {
        Unknown::Usage(format!("{}: {what}", self.program), self.usage)
    }

    fn unknown(&self, word: &str) -> Unknown {
        self.cannot(&format!("option {word}: the {} of a stand-in doesn't know it", self.program))
    }

    fn misses(&self, word: &str) -> Unknown {
        self.cannot(&format!("option {word}: requires parameter"))
    }

    /// Seconds, perhaps with a fraction; 0 is for ever.
    pub(super) fn seconds(&self, value: Option<&str>) -> Result<Option<Duration>, Unknown> {
        let Some(value) = value else { return Ok(None) };
        let seconds = value.trim_end_matches('s').parse::<f64>().ok();
        let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match seconds {
            Some(seconds) => Ok(Some(seconds).filter(|seconds| !seconds.is_zero())),
            None => Err(self.cannot(&format!("{value}: expected a number of seconds"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options {
        program: "p",
        usage: 2,
        valued: &[("m", "max-time"), ("O", "")],
        flags: &[("s", "silent"), ("z", "")],
    };

    #[test]
    fn options_are_read_as_people_write_them() {
        for (text, options, others) in [
            ("-sm 3 db", "silent= max-time=3", "db"),
            ("-m3 -z db", "max-time=3 z=", "db"),
            ("--max-time=3 --silent db 80", "max-time=3 silent=", "db 80"),
            ("-zO- --max-time 3 -- -s -", "z= O=- max-time=3", "-s -"),
            ("- db", "", "- db"),
        ] {
            let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
            let read = OPTIONS.read(&words).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let said: Vec<_> =
                read.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!((&*said.join(" "), &*read.others.join(" ")), (options, others), "{text}");
        }
        for text in ["-x", "--never", "-m", "--max-time", "-sx"] {
            assert!(OPTIONS.read(&[text.to_owned()]).is_err(), "{text}");
        }
        assert!(OPTIONS.seconds(Some("soon")).is_err());
        assert_eq!(OPTIONS.seconds(Some("0")), Ok(None));
        assert_eq!(OPTIONS.seconds(Some("1.5")), Ok(Some(Duration::from_millis(1500))));
    }
}
