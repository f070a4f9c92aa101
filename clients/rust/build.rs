//! Makes the types of the schema known to the derives of cynic.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    cynic_codegen::register_schema("roster").from_sdl_file("../../schema.graphql")?.as_default()?;
    Ok(())
}
