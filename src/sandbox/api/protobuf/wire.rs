//! The wire format of protobuf: numbered fields, one after the other.

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is no such protobuf: {0}")]
pub struct Malformed(pub(super) &'static str);

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'b> {
    Number(u64),
    Double(f64),
    Bytes(&'b [u8]),
}

/// Reads the fields of a message, with their numbers.
#[derive(Debug)]
pub(super) struct Reader<'b>(&'b [u8]);

const SHORT: Malformed = Malformed("it ends too early");

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for place in 0..10 {
            let (first, rest) = self.0.split_first().ok_or(SHORT)?;
            self.0 = rest;
            number |= u64::from(first & 0x7f) << (7 * place);
            if first & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("a number has no end"))
    }

    fn take(&mut self, length: u64) -> Result<&'b [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| SHORT)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Field<'b>), Malformed> {
        let tag = self.varint()?;
        let number =
            u32::try_from(tag >> 3).map_err(|_| Malformed("a field's number is too large"))?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| SHORT)?;
                Field::Double(f64::from_le_bytes(bytes))
            }
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                let bytes = self.take(4)?.try_into().map_err(|_| SHORT)?;
                Field::Double(f64::from(f32::from_le_bytes(bytes)))
            }
            _ => return Err(Malformed("a field is of an unknown wire type")),
        };
        Ok((number, field))
    }
}

impl<'b> Iterator for Reader<'b> {
    type Item = Result<(u32, Field<'b>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // Nothing can be read after what could not.
            self.0 = &[];
        }
        Some(field)
    }
}
