//! nslookup, and `getent hosts`: a name's addresses, as every program of the pod gets them.

use std::fs;

use super::{
    Unknown,
    dial::{Families, addresses, said},
    words::Options,
};

const OPTIONS: Options = Options { program: "nslookup", usage: 1, valued: &[], flags: &[] };

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nslookup {
    name: String,
    is_getent: bool,
}

pub(super) fn parse(words: &[String]) -> Result<Nslookup, Unknown> {
    let words = OPTIONS.read(words)?;
    match &*words.others {
        [name] => Ok(Nslookup { name: name.clone(), is_getent: false }),
        _ => Err(OPTIONS.cannot("the nslookup of a stand-in takes one name, and the pod's server")),
    }
}

pub(super) fn getent(words: &[String]) -> Result<Nslookup, Unknown> {
    match words {
        [database, name] if database == "hosts" || database == "ahosts" => {
            Ok(Nslookup { name: name.clone(), is_getent: true })
        }
        _ => Err(Unknown::Usage("getent: a stand-in has `getent hosts NAME`".to_owned(), 1)),
    }
}

impl Nslookup {
    pub(super) async fn run(self) -> u8 {
        let found = addresses(&self.name, Families::default()).await;
        let name = &self.name;
        if self.is_getent {
            let Ok(found) = found else { return 2 };
            for address in found {
                println!("{:<15} {name}", address.to_string());
            }
            return 0;
        }
        let settings = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let server = settings.lines().find_map(|line| line.strip_prefix("nameserver "));
        if let Some(server) = server.map(str::trim) {
            println!("Server:\t\t{server}\nAddress:\t{server}#53\n");
        }
        match found {
            Ok(found) => {
                for address in found {
                    println!("Name:\t{name}\nAddress: {address}");
                }
                0
            }
            Err(error) => {
                let text = said(&error);
                if text.contains("Temporary failure") || text.contains("Try again") {
                    println!(";; connection timed out; no servers could be reached");
                } else {
                    println!("** server can't find {name}: NXDOMAIN");
                }
                1
            }
        }
    }
}
