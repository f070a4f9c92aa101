//! `roster schema`: prints the GraphQL schema.

use std::io::Write as _;

use crate::schema;

pub fn write_schema() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(schema::described_sdl().as_bytes())?)
}
