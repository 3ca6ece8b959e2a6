//! Embeds the migrations, and the statements that Postgres has checked.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    perch_statements::embed()
}
