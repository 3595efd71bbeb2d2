//! Texts and numbers.

use serde_json::Value;

use super::{super::super::failure::Cause, Check};

impl Check<'_> {
    pub(super) fn text(&mut self, schema: &Value, text: &str, path: &str) {
        let value = Value::from(text);
        let length = text.chars().count() as u64;
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.causes.push(Cause {
                reason: "FieldValueTooLong",
                field: path.to_owned(),
                message: format!("Too long: may not be more than {most} bytes"),
            });
        } else if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            self.refuse(path, &value, &format!("should be at least {least} chars long"));
        } else if let Some(pattern) = schema["pattern"].as_str() {
            let known = self.patterns.iter().find(|(known, _)| known == pattern);
            let fits = known.and_then(|(_, regex)| regex.as_ref());
            if fits.is_some_and(|regex| !regex.is_match(text)) {
                self.refuse(path, &value, &format!("should match '{pattern}'"));
            }
        }
        let format = schema["format"].as_str().unwrap_or_default();
        let fits = match format {
            "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
            "date" => text.parse::<jiff::civil::Date>().is_ok(),
            "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
            "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
            "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
            "byte" => {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD.decode(text).is_ok()
            }
            _ => true,
        };
        if !fits {
            let mut cause = Cause::invalid(
                path,
                &value,
                &format!("{path} in body must be of type {format}: \"{text}\""),
            );
            cause.reason = "FieldValueTypeInvalid";
            self.causes.push(cause);
        }
    }

    pub(super) fn number(&mut self, schema: &Value, value: &Value, path: &str) {
        let number = value.as_f64().unwrap_or_default();
        if let Some(most) = schema["maximum"].as_f64() {
            let shown = &schema["maximum"];
            if schema["exclusiveMaximum"] == true && number >= most {
                self.refuse(path, value, &format!("should be less than {shown}"));
            } else if number > most {
                self.refuse(path, value, &format!("should be less than or equal to {shown}"));
            }
        }
        if let Some(least) = schema["minimum"].as_f64() {
            let shown = &schema["minimum"];
            if schema["exclusiveMinimum"] == true && number <= least {
                self.refuse(path, value, &format!("should be greater than {shown}"));
            } else if number < least {
                self.refuse(path, value, &format!("should be greater than or equal to {shown}"));
            }
        }
        if let Some(factor) = schema["multipleOf"].as_f64().filter(|factor| *factor > 0.0)
            && (number / factor).fract() != 0.0
        {
            self.refuse(path, value, &format!("should be a multiple of {}", schema["multipleOf"]));
        }
    }
}
