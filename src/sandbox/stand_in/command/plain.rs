//! What says something of the pod itself.

use std::{env, fs, time::Duration};

use super::Unknown;

/// Files that a stand-in has.
const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];
const HOST_NAME: &str = "/etc/hostname";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    True,
    False,
    Cat(Vec<String>),
    Echo(String),
    Env,
    Variables(Vec<String>),
    HostName,
    Sleep(Duration),
}

pub(super) fn parse(name: &str, words: &[String]) -> Result<Plain, Unknown> {
    let usage = |text: &str| Err(Unknown::Usage(format!("{name}: {text}"), 1));
    let is_option = |word: &String| word.len() > 1 && word.starts_with('-');
    Ok(match name {
        "true" => Plain::True,
        "false" => Plain::False,
        "echo" => Plain::Echo(words.join(" ")),
        "printenv" if !words.is_empty() => Plain::Variables(words.to_vec()),
        "env" | "printenv" if words.is_empty() => Plain::Env,
        "hostname" if words.is_empty() => Plain::HostName,
        "cat" if !words.is_empty() && !words.iter().any(is_option) => Plain::Cat(words.to_vec()),
        "sleep" => {
            let forever = words.first().is_some_and(|word| ["infinity", "inf"].contains(&&**word));
            let seconds = words.first().and_then(|word| word.trim_end_matches('s').parse().ok());
            match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
                _ if forever => Plain::Sleep(Duration::MAX),
                Some(nap) => Plain::Sleep(nap),
                None => return usage("a number of seconds is wanted"),
            }
        }
        "env" | "hostname" | "cat" => return usage("a stand-in's takes no options"),
        _ => return Err(Unknown::Program),
    })
}

impl Plain {
    pub(super) async fn run(self) -> u8 {
        match self {
            Self::True => 0,
            Self::False => 1,
            Self::Echo(text) => {
                println!("{text}");
                0
            }
            Self::Env => {
                for (name, value) in env::vars() {
                    println!("{name}={value}");
                }
                0
            }
            Self::Variables(names) => {
                let values: Vec<_> = names.iter().map(env::var).collect();
                values.iter().flatten().for_each(|value| println!("{value}"));
                u8::from(values.iter().any(Result::is_err))
            }
            Self::HostName => {
                println!("{}", env::var("HOSTNAME").unwrap_or_default());
                0
            }
            Self::Sleep(nap) => {
                tokio::time::sleep(nap).await;
                0
            }
            Self::Cat(files) => {
                let mut code = 0;
                for file in files {
                    // The machine's files are none of a pod's.
                    if FILES.contains(&&*file) {
                        print!("{}", fs::read_to_string(&file).unwrap_or_default());
                    } else if file == HOST_NAME {
                        println!("{}", env::var("HOSTNAME").unwrap_or_default());
                    } else {
                        eprintln!("cat: can't open '{file}': No such file or directory");
                        code = 1;
                    }
                }
                code
            }
        }
    }
}
