//! The columns of custom resources.

use serde_json::Value;

use super::{
    super::{
        super::{custom::JsonPath, object::Object},
        cells::{
            Cell::{Age, Path, Text},
            Column, number,
        },
    },
    text,
};

/// The columns that a definition asks for; the age alone if it asks for none.
pub(super) fn of(version: &Value) -> Vec<Column> {
    let mut columns = vec![text("Name", Text("/metadata/name"))];
    let wanted = version.items("/additionalPrinterColumns");
    if wanted.is_empty() {
        columns.push(text("Age", Age));
    }
    for column in wanted {
        let path = Path(Box::new(JsonPath::parse(column.text("/jsonPath"))));
        let mut made = Column::new(column.text("/name"), column.text("/type"), path);
        made.format = column.text("/format").to_owned();
        made.description = match column.text("/description") {
            "" => format!(
                "Custom resource definition column (in JSONPath format): {}",
                column.text("/jsonPath")
            ),
            stated => stated.to_owned(),
        };
        made.priority = number(column, "/priority");
        columns.push(made);
    }
    columns
}
