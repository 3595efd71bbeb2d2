//! Ports as a suite writes them, and what people write in their place.

use std::collections::BTreeMap;

use super::{
    node::{Node, NodeKind},
    reader::Reader,
    words::{PORT_NAME, is_port_name},
};
use crate::model::{Port, PortError, Protocol};

/// Why a text is no port, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoPort {
    pub(super) message: String,
    pub(super) helps: Vec<String>,
}

/// Reads `8080`, `8080/tcp`, `53/udp`, `80/http`.
pub(super) fn parse_port(text: &str) -> Result<Port, NoPort> {
    let no = |message: String, helps: Vec<String>| Err(NoPort { message, helps });
    let did_you_mean = |port: &str| format!("did you mean `{port}`?");
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if number.len() > 1 && number.starts_with('0') && digits(number) {
        let help = "YAML 1.1 reads a leading zero as octal; ports are decimal".to_owned();
        let meant = text.trim_start_matches('0');
        return no(format!("`{text}` begins with a zero"), vec![help, did_you_mean(meant)]);
    }
    if digits(protocol) && !digits(number) {
        let meant = did_you_mean(&format!("{protocol}/{}", number.to_lowercase()));
        return no(format!("`{text}` is no port"), vec![meant]);
    }
    match text.parse::<Port>() {
        Ok(port) => Ok(port),
        Err(PortError::Protocol(_)) => {
            let known = Protocol::ALL.map(Protocol::name);
            let lower = protocol.to_lowercase();
            let mut helps = Vec::new();
            if let Some(near) = super::nearest::nearest(&lower, known) {
                helps.push(did_you_mean(&format!("{number}/{near}")));
            } else if known.contains(&lower.as_str()) {
                helps.push(did_you_mean(&format!("{number}/{lower}")));
            }
            helps.push("protocols are `tcp`, `udp`, `http` and `sctp`".to_owned());
            no(format!("`{protocol}` is no protocol"), helps)
        }
        Err(PortError::Icmp) => {
            no(format!("`{text}` is no port: ICMP has none"), vec![did_you_mean("icmp")])
        }
        Err(PortError::Number(_)) => {
            let plain = "a port is a number from 1 to 65535, or that and a protocol: `53/udp`";
            let mut helps = vec![plain.to_owned()];
            let mut message = format!("`{text}` is no port");
            if let Some((left, right)) = text.split_once(':') {
                if digits(left) && digits(right) {
                    let sixties = left.parse::<u64>().ok().zip(right.parse::<u64>().ok());
                    let value = sixties.and_then(|(a, b)| a.checked_mul(60)?.checked_add(b));
                    let value = value.map(|value| format!(" {value}")).unwrap_or_default();
                    message.push_str(": YAML 1.1 reads it as the base-60 number");
                    message.push_str(&value);
                } else if digits(left) {
                    helps.insert(0, did_you_mean(&format!("{left}/{}", right.trim())));
                }
            } else if number.starts_with("0x") || number.starts_with("0o") {
                let (radix, word) =
                    if number.starts_with("0x") { (16, "a hexadecimal") } else { (8, "an octal") };
                message.push_str(&format!(": that is YAML's way to write {word} number"));
                if let Ok(value @ 1..) = u16::from_str_radix(&number[2..], radix) {
                    helps.insert(0, did_you_mean(&value.to_string()));
                }
            } else if digits(&number.replace('_', "")) && number.contains('_') {
                helps.insert(0, did_you_mean(&text.replace('_', "")));
            }
            no(message, helps)
        }
    }
}

/// A port at a place where only a port may stand.
pub(super) fn read_port(reader: &mut Reader, node: &Node) -> Option<Port> {
    let Some(text) = node.raw().filter(|_| !node.is_null()) else {
        let message = format!("expected a port such as `8080/tcp`, found {}", node.describe());
        reader.mistake(&node.span, message);
        return None;
    };
    match parse_port(text) {
        Ok(Port::ICMP) => {
            reader.mistake(&node.span, "nobody listens for ICMP: kernels answer it");
            None
        }
        Ok(port) => Some(port),
        Err(NoPort { message, helps }) => {
            let mistake = reader.mistake(&node.span, message);
            for help in helps {
                mistake.help(help);
            }
            None
        }
    }
}

/// Named ports: of a peer, or the suite's defaults.
pub(super) fn read_ports(reader: &mut Reader, node: &Node) -> BTreeMap<String, Port> {
    let mut ports: BTreeMap<String, Port> = BTreeMap::new();
    let NodeKind::Map(entries) = &node.kind else {
        let message = format!("expected ports by name, found {}", node.describe());
        reader
            .mistake(&node.span, message)
            .help("ports look like `{main: 8080/tcp}`; without any: `{}`");
        return ports;
    };
    for entry in entries {
        if !is_port_name(&entry.key) {
            let message = format!("`{}` can't be the name of a port", entry.key);
            reader.mistake(&entry.key_span, message).help(PORT_NAME);
        }
        let Some(port) = read_port(reader, &entry.value) else { continue };
        let socket = |port: Port| (port.number, port.protocol.transport());
        let taken = ports.iter().find(|(_, other)| socket(**other) == socket(port));
        if let Some((name, other)) = taken {
            let message = format!("`{}` takes the same socket as `{name}` ({other})", entry.key);
            reader.mistake(&entry.value.span, message);
            continue;
        }
        ports.insert(entry.key.clone(), port);
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_port_says_what_it_is() {
        for (text, message, help) in [
            ("0o17", "`0o17` is no port: that is YAML's way to write an octal number", "`15`"),
            ("0x50", "`0x50` is no port: that is YAML's way to write a hexadecimal number", "`80`"),
            ("22:22", "`22:22` is no port: YAML 1.1 reads it as the base-60 number 1342", "65535"),
            ("080", "`080` begins with a zero", "`80`"),
            ("8080:tcp", "`8080:tcp` is no port", "`8080/tcp`"),
            ("TCP/8080", "`TCP/8080` is no port", "`8080/tcp`"),
            ("8080/TCP", "`TCP` is no protocol", "`8080/tcp`"),
            ("8080/tpc", "`tpc` is no protocol", "`8080/tcp`"),
            ("8080/quic", "`quic` is no protocol", "protocols are"),
            ("8080/icmp", "`8080/icmp` is no port: ICMP has none", "`icmp`"),
            ("8_080", "`8_080` is no port", "`8080`"),
            ("0", "`0` is no port", "from 1 to 65535"),
            ("70000/udp", "`70000/udp` is no port", "from 1 to 65535"),
            ("80.0", "`80.0` is no port", "from 1 to 65535"),
            ("-80", "`-80` is no port", "from 1 to 65535"),
            ("99999999999999999999:9", "`99999999999999999999:9` is no port", "65535"),
        ] {
            let found = parse_port(text).expect_err(text);
            assert!(found.message.starts_with(message), "{text:?}: {}", found.message);
            let help = found.helps.iter().any(|found| found.contains(help));
            assert!(help, "{text:?} helps with {help:?}: {:?}", found.helps);
        }
    }
}
